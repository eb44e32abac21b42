"""What does a hop through Jupyter's server cost the microphone's card?

    python -m benchmarks.channels [--posts 200]

A quarter second of sound is posted to a WebSocket and comes back: straight over loopback (way A of docs/notebook.md),
and through jupyter-server-proxy of a real JupyterLab (way B). Both in turns, so that what else runs slows both.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from benchmarks.metrics.report import machine
from tests.support.jupyterlab import jupyterlab

POST_BYTES = 1500  # a quarter second, as the page's recorder sends it


def echo(connection: ServerConnection) -> None:
    """Send everything back."""
    for message in connection:
        connection.send(message)


def seconds_there_and_back(connection: ClientConnection) -> float:
    """One post's way."""
    began = time.perf_counter()
    connection.send(secrets.token_bytes(POST_BYTES))
    connection.recv()
    return time.perf_counter() - began


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.channels", description=__doc__.partition("\n")[0])
    parser.add_argument("--posts", type=int, default=200)
    posts = parser.parse_args().posts
    print(f"{machine()}\n", flush=True)
    with (
        serve(echo, "127.0.0.1", 0) as server,
        tempfile.TemporaryDirectory() as folder,
        jupyterlab(Path(folder)) as lab,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        ways = {
            "A, straight": f"ws://127.0.0.1:{port}/",
            "B, through jupyter-server-proxy": f"{lab.url.replace('http', 'ws', 1)}/proxy/{port}/",
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        with contextlib.ExitStack() as stack:
            connections = {
                name: stack.enter_context(connect(url, compression=None, open_timeout=60)) for name, url in ways.items()
            }
            for _ in range(posts + 1):
                for name, connection in connections.items():
                    found[name].append(seconds_there_and_back(connection))
        server.shutdown()
    print("| way | ms there and back, median | p95 |\n| --- | --- | --- |")
    for name, (_, *seconds) in found.items():  # the first waits for the connection behind the proxy
        print(f"| {name} | {median(seconds) * 1000:.1f} | {np.percentile(seconds, 95) * 1000:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
