"""Programs that stand in for the tunnels' own, for every test that needs a public URL.

``make_ngrok_agent(tmp_path)`` gives an executable; let openmic find it::

    monkeypatch.setenv("PYNGROK_NGROK_PATH", str(make_ngrok_agent(tmp_path)))
    settings = Settings(tunnel="ngrok", ngrok_authtoken="2standInAuthtoken", cache_dir=tmp_path)

Its public URL is a loopback port that it really forwards. How to make it fail stands at the top of
``ngrok_stand_in.py``.
"""

from __future__ import annotations

import contextlib
import http.server
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from pydantic import SecretStr
from websockets.sync.server import ServerConnection, serve

from openmic.tunnels.ngrok import NgrokTunnel, open_ngrok

SUPPORT = Path(__file__).resolve().parent
COLAB = SUPPORT / "colab_stand_in"
AUTHTOKEN = "2standIn7QxAuthtoken9ZpLongEnough"
WAIT_SECONDS = 120.0

OpenNgrok = Callable[..., NgrokTunnel]


def make_ngrok_agent(tmp_path: Path) -> Path:
    """An executable that behaves as ngrok's agent."""
    return _make(tmp_path / "ngrok-program" / "ngrok", SUPPORT / "ngrok_stand_in.py")


def make_cloudflared(tmp_path: Path) -> Path:
    """An executable that behaves as Cloudflare's ``cloudflared``."""
    return _make(tmp_path / "cloudflared-program" / "cloudflared", SUPPORT / "cloudflared_stand_in.py")


def _make(program: Path, script: Path) -> Path:
    program.parent.mkdir(parents=True, exist_ok=True)
    command = f"exec {shlex.quote(sys.executable)} -S {shlex.quote(str(script))}"
    program.write_text(f'#!/bin/sh\n{command} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program


@contextlib.contextmanager
def ngrok_tunnels(tmp_path: Path, port: int) -> Iterator[OpenNgrok]:
    """A function that opens a tunnel to ``port`` with a stand-in in a given mode; all are closed at the end."""
    program = make_ngrok_agent(tmp_path)
    opened: list[NgrokTunnel] = []

    def open_one(
        mode: str = "ok", port: int = port, url: str | None = None, start_seconds: float = 20.0
    ) -> NgrokTunnel:
        authtoken = SecretStr(f"{AUTHTOKEN}mode_{mode}")
        tunnel = open_ngrok(authtoken, port, program, tmp_path / "running", url, start_seconds=start_seconds)
        opened.append(tunnel)
        return tunnel

    yield open_one
    for tunnel in opened:
        tunnel.close()


class _Ok(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def http_server(handler: type[http.server.BaseHTTPRequestHandler] = _Ok) -> Iterator[int]:
    """The port of an HTTP server on loopback; without a handler it answers ``ok`` to everything."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def echo_server() -> Iterator[int]:
    """The port of a WebSocket server on loopback that says everything back."""

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join()


def lives(process: psutil.Process) -> bool:
    """Whether a process runs and is not merely waiting to be cleared away."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def running_under(folder: Path) -> list[psutil.Process]:
    """The live tunnel programs whose command line names something in ``folder``."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            arguments = process.cmdline()
            if {"start", "tunnel"} & set(arguments) and str(folder) in " ".join(arguments) and lives(process):
                found.append(process)
    return found
