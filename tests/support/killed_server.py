"""A real server process that a test kills and starts again on the same port and folder."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SCRIPTED = ("-m", "tests.support.scripted_engine")
ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-for-tests"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class KilledServer:
    """``start`` it, ``kill`` it, as often as wanted; it never hears of its end.

    Args:
        folder: recordings lie in ``folder/recordings``.
        command: what Python runs; ``{port}`` and ``{folder}`` are filled in.
        largest_file: bytes that no file of it may exceed, as on a full disk; None: no such limit.
        environment: variables that it gets beside its own.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str] = (),
        largest_file: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.recordings = folder / "recordings"
        self.largest_file = largest_file
        self.port = free_port()
        self.starts = 0
        self._environment = environment or {}
        self._command = command or (*SCRIPTED, "--port", "{port}", "--token", TOKEN, "--folder", "{folder}")
        self._process: subprocess.Popen[str] | None = None

    @property
    def link(self) -> str:
        return f"http://127.0.0.1:{self.port}/#token={TOKEN}"

    def start(self, *more: str) -> None:
        """Start it and wait until it answers."""
        command = [part.format(port=self.port, folder=self.folder) for part in self._command]
        environment = {
            **os.environ,
            "OPENMIC_TOKEN": TOKEN,
            "OPENMIC_DATA_DIR": str(self.recordings),
            "OPENMIC_LOG_TO": "none",
            **self._environment,
        }
        self._process = subprocess.Popen(
            [sys.executable, *command, *more], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        if self.largest_file is not None:
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (self.largest_file, self.largest_file))
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if "#token=" in line or "running at" in line:
                break
        else:
            raise AssertionError("the server did not start")
        self.starts += 1

    def pause(self) -> None:
        """Have it stand still, in the middle of whatever it does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it go on as if nothing had happened."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """``kill -9``; nothing is finished, flushed or closed by the process itself."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None
