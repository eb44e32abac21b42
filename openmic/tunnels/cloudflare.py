"""A public URL from Cloudflare's quick tunnel: the program ``cloudflared``, no account."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

import psutil

from openmic.environment import environment_without_secrets
from openmic.errors import OpenmicError
from openmic.progress import ProgressCallback, silent
from openmic.tunnels.agent_tunnel import AgentTunnel
from openmic.tunnels.agents import KILL_SECONDS, AgentFolder, end_process
from openmic.tunnels.problems import PROBLEMS
from openmic.tunnels.redaction import quote
from openmic.tunnels.terms import CLOUDFLARE_EXPIRES

START_SECONDS = 40.0  # for the URL to be given and the connection behind it to stand

_URL = re.compile(r"https://(?!api\.)[a-z0-9-]+\.trycloudflare\.com", re.IGNORECASE)
_CONNECTED = re.compile(r"registered tunnel connection|connection [0-9a-f-]{36} registered", re.IGNORECASE)
_BUSY = re.compile(r"429 Too Many Requests|error code: 1015", re.IGNORECASE)
_NO_NETWORK = re.compile(
    r"dial tcp|no such host|network is unreachable|connection refused|i/o timeout|unable to reach the edge",
    re.IGNORECASE,
)
_TIMESTAMP = re.compile(r"^\S+Z (?:INF|WRN|ERR) ")


class CloudflareTunnel(AgentTunnel):
    """An open quick tunnel and the program that serves it; see ``Tunnel``."""

    name = "Cloudflare quick tunnel"
    expires: str | None = CLOUDFLARE_EXPIRES

    def __init__(self, public_url: str, output: _Output, folder: AgentFolder) -> None:
        super().__init__(public_url, output.proc, folder)
        self._output = output

    def _end(self) -> None:
        self._output.end()


def cloudflared_program(path: Path | None) -> Path:
    """The program: ``path``, or the one on the search path.

    It is not downloaded: Cloudflare has packages for every system, and their installation is one command.

    Raises:
        OpenmicError: ``cloudflared_missing``.
    """
    if path is not None:
        if not path.expanduser().is_file():
            raise PROBLEMS.error("cloudflared_missing", detail=f"there is no file {path}")
        return path.expanduser().absolute()
    found = shutil.which("cloudflared")
    if found is None:
        raise PROBLEMS.error("cloudflared_missing", detail="the setting is empty")
    return Path(found)


def open_cloudflare(
    port: int,
    program: Path,
    root: Path,
    progress: ProgressCallback = silent,
    start_seconds: float = START_SECONDS,
) -> CloudflareTunnel:
    """Start cloudflared for ``http://127.0.0.1:port`` and wait until its connection stands.

    Args:
        port: where the server listens.
        program: cloudflared, see ``cloudflared_program``.
        root: under which the program's folder is made.
        progress: told what is going on.
        start_seconds: how long it may take.

    Raises:
        OpenmicError: one of the ``cloudflare...`` problems; nothing is left running then.
    """
    folder = AgentFolder(root, program)
    failure: OpenmicError | None = None
    output: _Output | None = None
    tunnel: CloudflareTunnel | None = None
    try:
        # An empty configuration: a person's own one, made for a named tunnel, keeps a quick tunnel from starting.
        config = folder.write("cloudflared.yml", "")
        progress("Asking Cloudflare for a tunnel", None)
        try:
            output = _Output(
                subprocess.Popen(
                    [
                        *(str(program), "tunnel", "--config", str(config), "--no-autoupdate"),
                        *("--url", f"http://127.0.0.1:{port}"),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    env=environment_without_secrets(),
                )
            )
        except OSError as error:
            detail = error.strerror or type(error).__name__
            failure = PROBLEMS.error("cloudflared_not_executable", program=program, detail=detail)
        else:
            folder.record(output.proc.pid)
            public_url = output.wait_for_url(start_seconds)
            if public_url is None:
                failure = output.failure(start_seconds)
            else:
                tunnel = CloudflareTunnel(public_url, output, folder)
    finally:
        if tunnel is None:
            if output is not None:
                output.end()
            folder.remove()
    if tunnel is None:
        assert failure is not None
        raise failure
    progress("Asking Cloudflare for a tunnel", 1.0)
    return tunnel


class _Output:
    """The program and what it says, read in a thread so that the pipe never fills."""

    def __init__(self, proc: subprocess.Popen[str]) -> None:
        self.proc = proc
        self._last: deque[str] = deque(maxlen=50)
        self._url: str | None = None
        self._connected = False
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, name="openmic-cloudflared-log", daemon=True)
        self._thread.start()

    def wait_for_url(self, seconds: float) -> str | None:
        """The URL once a connection stands behind it; None when the program ended or the time is up."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (self._url and self._connected):
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    return None
                self._changed.wait(left)
            return self._url

    def failure(self, seconds: float) -> OpenmicError:
        """What kept the tunnel from opening, by the program's last words."""
        with self._changed:
            lines, ended = [line for line in self._last if line], self._ended
        if any(_BUSY.search(line) for line in lines):
            return PROBLEMS.error("cloudflare_busy")
        if found := next((line for line in reversed(lines) if _NO_NETWORK.search(line)), None):
            return PROBLEMS.error("cloudflare_unreachable", detail=quote(found).rstrip("."))
        if ended:
            return PROBLEMS.error("cloudflared_died", detail=quote(lines[-1] if lines else ""))
        return PROBLEMS.error("cloudflare_timeout", seconds=round(seconds))

    def end(self) -> None:
        """End the program and the thread."""
        if self.proc.poll() is None:
            try:
                end_process(psutil.Process(self.proc.pid))
                self.proc.wait(KILL_SECONDS)
            except (psutil.Error, subprocess.TimeoutExpired):
                pass
        self._thread.join(KILL_SECONDS)

    def _read(self) -> None:
        assert self.proc.stdout is not None
        with self.proc.stdout as lines:
            for line in lines:
                with self._changed:
                    self._last.append(_TIMESTAMP.sub("", line).strip())
                    if match := _URL.search(line):
                        self._url = match[0]
                    self._connected = self._connected or bool(_CONNECTED.search(line))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
