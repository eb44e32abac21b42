"""A stand-in for Cloudflare's ``cloudflared``: ``tunnel --url http://127.0.0.1:PORT``, as a process of its own.

It logs to stderr as the real one does and gives a ``trycloudflare.com`` URL that leads nowhere; what would come in
there can be sent to a loopback port, which it really forwards and writes into a file. Standard library only.

CLOUDFLARED_STAND_IN_MODE
    ``ok`` (default) · ``busy`` (HTTP 429) · ``offline`` (no such host) · ``blocked`` (URL given, edge never reached)
    ``dies`` (ends at once with a complaint) · ``hang`` (says nothing) · ``noisy`` (a megabyte of log after the start)
    ``old_log`` (the connection line of older versions) · ``stubborn`` (does not end on SIGTERM)
CLOUDFLARED_STAND_IN_PORT_FILE   where to write the loopback port
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time

from ngrok_stand_in import pump  # type: ignore[import-not-found]  # beside this program, not in a package

URL = "https://stand-in-of-four-words.trycloudflare.com"
API = 'Post "https://api.trycloudflare.com/tunnel"'


def log(level: str, message: str) -> None:
    """One line as cloudflared's console logger writes it."""
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ')} {level} {message}", file=sys.stderr, flush=True)


async def serve(host: str, port: int, mode: str) -> int:
    """Forward until told to stop."""
    over = asyncio.Event()
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    if path := os.environ.get("CLOUDFLARED_STAND_IN_PORT_FILE"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(str(server.sockets[0].getsockname()[1]))
    log("INF", "+" + "-" * 92 + "+")
    log("INF", "|  A quick tunnel was made. Its address (may take a moment to be reachable):" + " " * 19 + "|")
    log("INF", f"|  {URL}" + " " * 42 + "|")
    log("INF", "+" + "-" * 92 + "+")
    while mode == "blocked" and not over.is_set():
        log("ERR", 'Unable to establish connection with the edge error="dial tcp 192.0.2.1:7844: i/o timeout"')
        await asyncio.sleep(0.1)
    if mode == "old_log":
        log("INF", "Connection 5c313303-b31f-4cbe-96d7-3c111c8ac630 registered connIndex=0 location=DEN")
    else:
        log("INF", "Registered tunnel connection connIndex=0 ip=192.0.2.1 location=den01 protocol=quic")
    if mode == "noisy":
        for number in range(8000):
            log("ERR", f"request {number:0100} failed")
        if path:
            with open(f"{path}.said", "w", encoding="utf-8") as file:
                file.write("everything")
    await over.wait()
    log("INF", "Initiating graceful shutdown due to signal terminated ...")
    return 0


def main(arguments: list[str]) -> int:
    """``cloudflared tunnel --config FILE --no-autoupdate --url URL``."""
    mode = os.environ.get("CLOUDFLARED_STAND_IN_MODE", "ok")
    match = re.fullmatch(r"http://([^:/]+):(\d+)", arguments[arguments.index("--url") + 1])
    if arguments[0] != "tunnel" or match is None:
        print("Incorrect Usage", file=sys.stderr)
        return 1
    if mode == "hang":
        time.sleep(600)
    if mode == "dies":
        print("cannot determine default origin certificate path", file=sys.stderr)
        return 1
    log("INF", "Requesting new quick Tunnel on trycloudflare.com...")
    if mode == "busy":
        log("ERR", 'Error unmarshaling QuickTunnel response: error code: 1015 status_code="429 Too Many Requests"')
        print("failed to unmarshal quick Tunnel: invalid character 'e'", file=sys.stderr)
        return 1
    if mode == "offline":
        print(
            f"failed to request quick Tunnel: {API}: dial tcp: lookup api.trycloudflare.com: no such host",
            file=sys.stderr,
        )
        return 1
    return asyncio.run(serve(match[1], int(match[2]), mode))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
