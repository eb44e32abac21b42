"""What stands between a client and its service in tests of a connection that breaks."""

from __future__ import annotations

import contextlib
import socket
import threading


class CuttingProxy:
    """Forwards TCP to a port, and cuts connections: after a number of bytes upward, or when told."""

    def __init__(self, port: int, cut_after: list[int]) -> None:
        self.connections = 0
        self.refuse = False
        self._target = port
        self._cut_after = cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            limit = self._cut_after[self.connections] if self.connections < len(self._cut_after) else None
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self._target))
            self._open += [client, server]
            threading.Thread(target=self._pump, args=(client, server, limit), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, None), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        seen = 0
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                seen += len(data)
                if limit is not None and seen > limit:
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join(5)
        for end in self._open:
            end.close()
