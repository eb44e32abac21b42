"""Records real exchanges with a real server and model into docs/examples: what docs/protocol.md shows is from there.

``python docs/examples/make_examples.py`` (about a minute; needs the weights of ``base``). A line of a .jsonl file is
``{"client": MESSAGE}``, ``{"audio": BYTES}``, ``{"server": MESSAGE}`` or ``{"closed": CODE}``, in the order in which
they went over the wire; the secrets in them were good for as long as this ran.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from openmic.server.app import create_app
from openmic.server.thread import ServerThread
from openmic.sessions.registry import Sessions
from openmic.settings import Settings
from openmic.speech.load import load_engine

HERE = Path(__file__).resolve().parent
RECORDING = HERE.parents[1] / "sample_audio" / "quickstart.wav"
TOKEN = "TOKEN"
SLICES = 40  # of the recording
Json = dict[str, Any]


class Exchange:
    """One example: what was said, in order, perhaps over several connections."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("http:", "ws:") + "/v1/stream"
        self._socket: ClientConnection
        self.lines: list[Json] = []

    @asynccontextmanager
    async def connection(self, token: str = TOKEN) -> AsyncIterator[None]:
        """Connect, and at the end hear everything out."""
        async with connect(self._url, subprotocols=["openmic.v1", f"token.{token}"], max_size=None) as socket:
            self._socket = socket
            hearing = asyncio.create_task(self._hear())
            yield
            await asyncio.wait_for(hearing, 120)

    async def _hear(self) -> None:
        with suppress(ConnectionClosed):
            async for text in self._socket:
                self.lines.append({"server": json.loads(text)})
        self.lines.append({"closed": self._socket.close_code})

    async def say(self, **message: object) -> None:
        self.lines.append({"client": message})
        await self._socket.send(json.dumps(message))

    async def play(self, data: bytes, seconds: float) -> None:
        """Send audio at the speed of speech."""
        size = -(-len(data) // SLICES)
        for start in range(0, len(data), size):
            await self.send(data[start : start + size])
            await asyncio.sleep(seconds / SLICES)

    async def send(self, audio: bytes) -> None:
        self.lines.append({"audio": len(audio)})
        await self._socket.send(audio)

    async def drop(self) -> None:
        """Lose the connection."""
        self._socket.transport.abort()

    def heard(self, kind: str) -> Json:
        return next(line["server"] for line in self.lines if line.get("server", {}).get("type") == kind)

    async def wait_for(self, kind: str) -> Json:
        """The first message of that type."""
        async with asyncio.timeout(60):
            while True:
                with suppress(StopIteration):
                    return self.heard(kind)
                await asyncio.sleep(0.01)

    def write(self, name: str) -> None:
        lines = (json.dumps(line, ensure_ascii=False) for line in self.lines)
        (HERE / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


async def stream(url: str, data: bytes) -> str:
    """A whole stream; returns its session id."""
    exchange = Exchange(url)
    async with exchange.connection():
        await exchange.say(type="start", language="en", words=True)
        await exchange.wait_for("ready")
        await exchange.play(data, 15)
        await exchange.say(type="stop")
    exchange.write("stream.jsonl")
    return str(exchange.heard("ready")["session_id"])


async def resume(url: str, data: bytes) -> None:
    """A stream whose connection is lost in the middle."""
    exchange = Exchange(url)
    async with exchange.connection():
        await exchange.say(type="start", language="en")
        ready = await exchange.wait_for("ready")
        await exchange.play(data[: len(data) // 2], 8)
        await exchange.drop()
    received = len(data) // 2
    seqs = [line["server"]["seq"] for line in exchange.lines if line.get("server", {}).get("type") == "commit"]
    async with exchange.connection():
        key = {name: ready[name] for name in ("session_id", "resume_token")}
        await exchange.say(type="resume", **key, after_seq=max(seqs, default=0))
        await asyncio.sleep(0.5)
        again = [line["server"] for line in exchange.lines if line.get("server", {}).get("type") == "ready"][-1]
        received = again["received_bytes"]
        await exchange.play(data[received:], 8)
        await exchange.say(type="stop")
    exchange.write("resume.jsonl")


async def errors(url: str) -> None:
    """Three connections that go wrong."""
    exchange = Exchange(url)
    async with exchange.connection("OLD-TOKEN"):
        pass
    async with exchange.connection():
        await exchange.say(type="start", encoding="pcm_s16le", sample_rate=0)
    exchange.lines, earlier = [], exchange.lines
    async with exchange.connection():
        await exchange.say(type="start")
        await exchange.say(type="dance")
        await exchange.wait_for("error")
        await exchange.send(b"This is a letter, not a recording.")
    exchange.lines = earlier + exchange.lines
    exchange.write("errors.jsonl")


def main() -> None:
    data = RECORDING.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(model="base", data_dir=Path(folder))
        engine = load_engine(settings)
        sessions = Sessions(settings, engine)
        server = ServerThread(create_app(settings, sessions, TOKEN), "127.0.0.1", 0)
        server.start()
        try:
            session_id = asyncio.run(stream(server.url, data))
            request = urllib.request.Request(
                f"{server.url}/v1/sessions/{session_id}.json", headers={"Authorization": f"Bearer {TOKEN}"}
            )
            with urllib.request.urlopen(request, timeout=10) as response:
                session = json.load(response)
            text = json.dumps(session, ensure_ascii=False, indent=1)
            (HERE / "session.json").write_text(text + "\n", encoding="utf-8")
            asyncio.run(resume(server.url, data))
            asyncio.run(errors(server.url))
        finally:
            server.stop()
            engine.close()


if __name__ == "__main__":
    sys.exit(main())
