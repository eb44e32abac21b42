"""A stand-in for ngrok's agent program: the only part of ngrok that the tests cannot reach.

It is a process of its own, driven through its command line, its log and its web API as pyngrok drives the real one, and
it really forwards TCP: the public URL is ``http://127.0.0.1:PORT``, and bytes sent there reach the upstream.
Standard library only. ``tunnel_fixtures.make_ngrok_agent`` makes a program of it.

How it behaves is chosen by the authtoken (``...mode_NAME...``, as in ``2tokenXmode_107``) or by the environment:

NGROK_STAND_IN_MODE
    ``ok`` (default)
    a number n          ERR_NGROK_n, where the real agent or service raises it: while starting (105, 107, 108, 120, 121,
                        123, 4018, 9009 and numbers below 300), for visitors (3200, 8012, 725v, 727v), else by the API
                        when an endpoint is opened (314, 319, 320, 15013, 324, 334, 725, 727, others)
    ``stderr_107``      the text on stderr only
    ``dies``            ends at start without a word; ``dies_after_probe``: after the first question to its API
    ``dies_later``      ends 0.5 s after an endpoint was opened
    ``hang``            starts and says nothing
    ``unreachable``     cannot look up ngrok's servers, says so again and again, never ends
    ``old_api``         knows no /api/endpoints;  ``deaf_api``: accepts API connections and never answers;
                        ``slow_open``: answers all but the opening of an endpoint
    ``http_500``        the API answers a new endpoint with a text that is no JSON and has no code
    ``noisy``           logs a megabyte while it opens its endpoint, more than a pipe holds; one line is not UTF-8
    ``stubborn``        does not end on SIGTERM
NGROK_STAND_IN_VERSION   what ``--version`` prints (default ``ngrok version 3.31.0-stand-in``)
NGROK_STAND_IN_JOURNAL   a file to which it appends one JSON line per event: its arguments, the API's requests
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from typing import Any

VERSION = "ngrok version 3.31.0-stand-in"
AT_START = {105, 107, 108, 120, 121, 123, 4018, 9009}
FOR_VISITORS = {"3200", "8012", "725v", "727v"}
TEXTS = {
    105: "That authtoken has not the shape of an ngrok authtoken.\\nYour authtoken: {authtoken}\\nSee your dashboard.",
    107: "That authtoken has the right shape, but is not valid.\\nYour authtoken: {authtoken}\\nIt was reset?",
    108: "Your account is limited to 3 agent sessions at once.",
    120: "This agent is older than your account allows.",
    121: "This agent version is no longer supported.",
    123: "Verify the e-mail address of your account first.",
    4018: "A verified account and an authtoken are needed.\\nInstall your authtoken: dashboard",
    9009: "Running the agent through an HTTP proxy is not in your plan.",
}
V2_FIELDS = {"addr", "proto", "domain", "hostname", "subdomain", "schemes", "basic_auth", "bind_tls"}


def journal(**event: Any) -> None:
    """Note what happened, where a test asked for it."""
    path = os.environ.get("NGROK_STAND_IN_JOURNAL")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"pid": os.getpid(), **event}) + "\n")


def log(level: str, message: str, **fields: object) -> None:
    """One line of logfmt, unbuffered, quotes as the agent sets them (line ends inside are a backslash and a letter)."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    extra = "".join(f" {key}={_quoted(str(value))}" for key, value in fields.items())
    print(f't={stamp} lvl={level} msg="{message}"{extra}', flush=True)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"' if re.search(r"[\s\"=]", text) else text


def error_text(number: int, authtoken: str) -> str:
    """The service's words for a code, with the line ends as they come."""
    words = TEXTS.get(number, "The service refuses this request of the account.").format(authtoken=authtoken)
    return f"{words}\\r\\n\\r\\nERR_NGROK_{number}\\r\\n"


def read_authtoken(arguments: list[str]) -> str:
    """From the configuration, then the environment, then the command line, the later one winning."""
    found = ""
    if "--config" in arguments:
        with open(arguments[arguments.index("--config") + 1], encoding="utf-8") as file:
            match = re.search(r'authtoken:\s*"?([^"\s]+)', file.read())
            found = match[1] if match else ""
    found = os.environ.get("NGROK_AUTHTOKEN") or found
    if "--authtoken" in arguments:
        found = arguments[arguments.index("--authtoken") + 1]
    return found


class Agent:
    """The running agent: its web API and the endpoints that it forwards."""

    def __init__(self, authtoken: str, mode: str) -> None:
        self.authtoken = authtoken
        self.mode = mode
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.forwarders: dict[str, asyncio.Server] = {}
        self.over = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        web = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        port = web.sockets[0].getsockname()[1]
        log(
            "info", "no configuration paths supplied" if "--config" not in sys.argv else "open config file", err="<nil>"
        )
        log("info", "starting web service", obj="web", addr=f"127.0.0.1:{port}", allow_hosts="[]")
        if self.mode == "unreachable":
            while not self.over.is_set():
                reason = "failed to dial ngrok server: dial tcp: lookup connect.example.invalid: no such host"
                log("eror", "failed to reconnect session", obj="tunnels.session", err=reason)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self.over.wait(), 0.2)
            return 0
        log("info", "client session established", obj="tunnels.session")
        log("info", "tunnel session started", obj="tunnels.session")
        await self.over.wait()
        log("info", "received stop request", obj="app")
        journal(event="signed off", endpoints=sorted(self.endpoints))
        return 0

    def stop(self) -> None:
        if self.mode != "stubborn":
            self.over.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request to the web API."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, _ = head.split(" ", 2)
            length = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length[1])) if length else b""
            if self.mode == "deaf_api":
                await self.over.wait()
            status, reply = await self.serve(method, path, json.loads(body) if body else {})
            data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            data = b"" if status == 204 else data
            kind = "application/json" if not isinstance(reply, bytes) else "text/plain"
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + data
            )
            await writer.drain()
        writer.close()
        if self.mode == "dies_after_probe":
            os._exit(1)

    async def serve(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        journal(event="api", method=method, path=path, body=body)
        if not path.startswith("/api/endpoints") or self.mode == "old_api":
            return 404, {"error_code": 100, "status_code": 404, "msg": "not found", "details": {"path": path}}
        name = path.removeprefix("/api/endpoints").strip("/")
        if method == "GET":
            return (
                (200, self.endpoints[name])
                if name in self.endpoints
                else (200, {"endpoints": [*self.endpoints.values()]})
            )
        if method == "DELETE":
            if name not in self.endpoints:
                return 404, self.failure(404, "no such endpoint")
            self.forwarders.pop(name).close()
            del self.endpoints[name]
            return 204, b""
        return await self.open(body)

    async def open(self, body: dict[str, Any]) -> tuple[int, Any]:
        if self.mode == "slow_open":
            await self.over.wait()
        if self.mode == "noisy":  # without a reader of its log, it gets no further
            sys.stdout.buffer.write(b'lvl=info msg="join connections" path=/\xff\xfe\n')  # a visitor's, not UTF-8
            sys.stdout.buffer.flush()
            for number in range(8000):
                log("info", "join connections", obj="join", id=f"{number:0100}")
            journal(event="said everything")
        if self.mode == "http_500":
            return 500, b"panic: this text comes from nowhere, authtoken: " + self.authtoken.encode()
        if self.mode.isdigit() and self.mode not in FOR_VISITORS:
            # The API's JSON holds real line ends, unlike the log.
            words = error_text(int(self.mode), self.authtoken).replace("\\r", "\r").replace("\\n", "\n")
            return (502, self.failure(502, words)) if int(self.mode) < 10000 else (400, self.failure(400, words))
        upstream = body.get("upstream", {}).get("url", "")
        match = re.fullmatch(r"https?://([^:/]+):(\d+)/?", upstream)
        if V2_FIELDS & body.keys() or match is None or not body.get("name"):
            return 400, self.failure(400, f"not an endpoint of version 3: {sorted(body)}")
        if body["name"] in self.endpoints:
            return 400, self.failure(400, "an endpoint of this name is open")

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self.forward(reader, writer, match[1], int(match[2]))

        server = await asyncio.start_server(forward, "127.0.0.1", 0)
        name = body["name"]
        self.forwarders[name] = server
        self.endpoints[name] = {
            "name": name,
            "uri": f"/api/endpoints/{name}",
            "url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            "upstream": {"url": upstream},
            "metrics": {"conns": {"count": 0}, "http": {"count": 0}},
        }
        if self.mode == "dies_later":
            asyncio.get_running_loop().call_later(0.5, os._exit, 1)
        return 201, self.endpoints[name]

    @staticmethod
    def failure(status: int, words: str) -> dict[str, Any]:
        return {
            "error_code": 103,
            "status_code": status,
            "msg": "failed to start endpoint",
            "details": {"err": f"failed to start endpoint: {words}"},
        }

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        """One visitor: bytes both ways until either side ends."""
        number = self.mode.rstrip("v") if self.mode in FOR_VISITORS else ""
        try:
            if number:
                raise ConnectionRefusedError
            up_reader, up_writer = await asyncio.open_connection(host, port)
        except OSError:
            await self.refuse(reader, writer, number or "8012")
            return
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    @staticmethod
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: str) -> None:
        """ngrok's own page in place of the upstream's: the code is in a header and in the HTML."""
        status = {"3200": 404, "8012": 502}.get(number, 403)
        page = f"<!DOCTYPE html><title>no</title><p>ERR_NGROK_{number}</p>".encode()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Type: text/html\r\nNgrok-Error-Code: ERR_NGROK_{number}\r\n"
                f"Content-Length: {len(page)}\r\nConnection: close\r\n\r\n".encode()
                + page
            )
            await writer.drain()
        writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction; its end is passed on as an end of that direction only."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    writer.close()


def start(arguments: list[str]) -> int:
    """``ngrok start --none``."""
    authtoken = read_authtoken(arguments)
    chosen = re.search(r"mode_(\d+v?|[a-z]+(?:_[a-z0-9]+)*)", authtoken)
    mode = os.environ.get("NGROK_STAND_IN_MODE") or (chosen[1] if chosen else "ok")
    journal(event="start", arguments=arguments, mode=mode, authtoken_in_environment="NGROK_AUTHTOKEN" in os.environ)
    if not authtoken:
        mode = "4018"
    if mode == "dies":
        return 1
    if mode == "hang":
        time.sleep(600)
    if mode.startswith("stderr_") or (mode.isdigit() and (int(mode) in AT_START or int(mode) < 300)):
        number = int(mode.removeprefix("stderr_"))
        words = error_text(number, authtoken)
        if not mode.startswith("stderr_"):
            log("info", "starting web service", obj="web", addr="127.0.0.1:1")
            log("eror", "failed to auth", obj="tunnels.session", err=words)
            log("eror", "terminating with error", obj="app", err=f"authentication failed: {words}")
        for line in f"authentication failed: {words}".replace("\\r", "").split("\\n"):
            print(f"ERROR:  {line}", file=sys.stderr, flush=True)
        return 1
    return asyncio.run(Agent(authtoken, mode).run())


def main(arguments: list[str]) -> int:
    """The commands that pyngrok and openmic use."""
    if arguments[:1] in (["--version"], ["version"]):
        print(os.environ.get("NGROK_STAND_IN_VERSION", VERSION))
        return 0
    if arguments[:2] == ["config", "add-authtoken"]:
        path = arguments[arguments.index("--config") + 1]
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'version: "3"\nagent:\n  authtoken: {arguments[2]}\n')
        print(f"Authtoken saved to configuration file: {path}")
        return 0
    if arguments[:2] == ["start", "--none"]:
        return start(arguments)
    print(f"ERROR:  unknown command {arguments[:1]}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
