"""A line between a client and its service that is slow, late, silent for a while, or reset: TCP, byte for byte."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

PIECE_BYTES = 1024


class BadLine:
    """Forwards TCP to a port.

    Args:
        port: of the service.
        delay_seconds: that every byte is under way, in both directions.
        bytes_per_second: that pass in each direction; None: as many as come.
    """

    def __init__(self, port: int, *, delay_seconds: float = 0.0, bytes_per_second: float | None = None) -> None:
        self.connections = 0
        self.passed_bytes = 0  # upward
        self._target = port
        self._delay = delay_seconds
        self._rate = bytes_per_second
        self._flows = threading.Event()
        self._flows.set()
        self._over = threading.Event()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._begin(self._accept)

    def stall(self) -> None:
        """Let nothing pass any more; connections stay open, as with a cable pulled or a laptop that sleeps."""
        self._flows.clear()

    def go_on(self) -> None:
        """Let it pass again."""
        self._flows.set()

    def reset(self) -> None:
        """Break all connections with a TCP reset: no goodbye in either direction, what is under way is lost."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
        self._open.clear()

    def close(self) -> None:
        self._over.set()
        self._flows.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(10)

    def _begin(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                continue
            self.connections += 1
            self._open += [client, server]
            for source, sink, upward in ((client, server, True), (server, client, False)):
                self._begin(self._pump, source, sink, upward)

    def _pump(self, source: socket.socket, sink: socket.socket, upward: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE_BYTES):
                self._flows.wait()
                time.sleep(self._delay + (len(data) / self._rate if self._rate else 0.0))
                sink.sendall(data)
                self.passed_bytes += len(data) if upward else 0
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
