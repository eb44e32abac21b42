"""Speech to text for Home Assistant: a TCP port of its own.

The protocol has no token, so it is off by default and listens on this machine alone, unless the settings say otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, NoReturn

from fastapi import FastAPI

from openmic.errors import OpenmicError
from openmic.server.access.connections import Connections
from openmic.server.access.gate import Gate
from openmic.server.dialects.rate_limit import RateLimit
from openmic.server.dialects.samples import converter
from openmic.server.dialects.wyoming.events import MOST_LINE_BYTES, Event, Json, read_event, to_bytes
from openmic.server.problems import PROBLEMS, TooManyStarts
from openmic.sessions.events import Ended, Failed, Finalised, SessionEvent
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.types import AudioFormat, SpeechOptions, language_code
from openmic.settings import Settings

SEND_SECONDS = 20.0  # how long one event may take to leave before a client counts as not reading
BACKLOG_LOOK_SECONDS = 0.05  # how often a full backlog is looked at
ENCODINGS = {1: "pcm_s8", 2: "pcm_s16le", 4: "pcm_s32le"}  # by the bytes of one sample


class WyomingServer:
    """Listens on its port while the app is served.

    Args:
        app: with its state; see ``create_app``.

    Attributes:
        port: that it listens on, once it does.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be used.
        """
        settings: Settings = self._app.state.settings
        self._server = await asyncio.start_server(
            self._serve, settings.wyoming_host, settings.wyoming_port, limit=MOST_LINE_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await WyomingConnection(self._app, reader, writer).serve()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class WyomingConnection:
    """One client: it asks what there is, or has one command after the other transcribed."""

    def __init__(self, app: FastAPI, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._app = app
        self._settings: Settings = app.state.settings
        self._sessions: Sessions = app.state.sessions
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._rate_limit = RateLimit(self._settings.max_message_rate)
        self._language: str | None = None
        self._session: Session | None = None
        self._convert: Callable[[bytes], bytes] = bytes
        self._final: asyncio.Future[str] = self._loop.create_future()
        self._is_stopped = False  # the client waits for the final
        self._broken_off: asyncio.Future[OpenmicError] = self._loop.create_future()

    def warn(self, warning: OpenmicError, url: str | None = None) -> None:
        """See ``Connection.warn``: the protocol has no word for it."""

    def end_idle(self, error: OpenmicError) -> None:
        """See ``Connection.end_idle``."""
        if self._session is None:
            self._loop.call_soon_threadsafe(self._break_off, error)

    def waiting_messages(self) -> int:
        """See ``Connection.waiting_messages``."""
        return 0

    async def serve(self) -> None:
        """Run the connection to its end."""
        connections: Connections = self._app.state.connections
        reading = self._loop.create_task(self._read())
        try:
            connections.enter(self)
            ends: set[asyncio.Future[Any]] = {reading, self._broken_off}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await reading
            else:
                await self._say_last(self._broken_off.result())
        except OpenmicError as error:
            self._app.state.metrics.count_error(error.code)
            with contextlib.suppress(OSError, TimeoutError):
                await self._send("error", {"text": f"{error.message} {error.hint}", "code": error.code})
        except (OSError, TimeoutError):  # it has gone, or reads nothing
            pass
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            connections.leave(self)
            if self._session is not None:
                await asyncio.shield(asyncio.to_thread(self._hang_up, self._session))

    async def _read(self) -> None:
        """Do what the client asks for, until it closes."""
        while (event := await self._next()) is not None:
            await self._do(event)
            await self._rate_limit.keep()

    async def _say_last(self, error: OpenmicError) -> NoReturn:
        """The session ended before its client did: what there is of it, then why.

        Raises:
            OpenmicError: ``error``.
        """
        if self._final.done() and self._final.exception() is None:
            await self._send("transcript", {"text": self._final.result(), "language": self._language})
        raise error

    async def _next(self) -> Event | None:
        idle_seconds = self._settings.idle_seconds
        try:
            async with asyncio.timeout(idle_seconds):
                return await read_event(self._reader, self._settings.max_message_bytes)
        except TimeoutError as late:
            raise SESSION_PROBLEMS.error("idle_too_long", idle_seconds=idle_seconds) from late

    async def _do(self, event: Event) -> None:
        match event.type:
            case "describe":
                await self._send("info", self._info())
            case "ping":
                await self._send("pong", {"text": event.data.get("text")})
            case "transcribe":
                language = event.data.get("language")
                self._language = language_code(language if isinstance(language, str) else None)
            case "audio-start":
                await self._open(event.data)
            case "audio-chunk":
                session = self._session or await self._open(event.data)
                try:
                    await asyncio.to_thread(session.write, self._convert(event.payload))
                except OpenmicError as error:
                    if error.code != "already_stopped":
                        raise
                    return  # it has as much as a session may have, or ends with an error that is told
                await self._wait_for_decoding(session)
            case "audio-stop" if self._session is not None:
                self._is_stopped = True
                await asyncio.to_thread(self._hang_up, self._session)
                text = await self._final
                self._session = None
                await self._send("transcript", {"text": text, "language": self._language})

    async def _wait_for_decoding(self, session: Session) -> None:
        """Read no further while too much waits to be decoded: the socket then slows the client down."""
        for _ in range(round(self._settings.idle_seconds / BACKLOG_LOOK_SECONDS)):
            if session.backlog_bytes <= self._settings.max_backlog_bytes or session.state is not State.RECEIVING:
                return
            await asyncio.sleep(BACKLOG_LOOK_SECONDS)

    async def _open(self, data: Json) -> Session:
        """Begin a session for samples of this shape; one that is open is finished.

        Raises:
            OpenmicError: ``not_offered``, ``too_many_starts``, or as ``Sessions.create``.
        """
        if self._session is not None:
            await asyncio.to_thread(self._hang_up, self._session)
        rate, width, channels = (data.get(name) for name in ("rate", "width", "channels"))
        encoding = ENCODINGS.get(width) if isinstance(width, int) else None
        if encoding is None or not isinstance(rate, int) or not isinstance(channels, int):
            raise PROBLEMS.error("not_offered", name="this audio", detail="Samples have 1, 2 or 4 bytes, and a rate")
        self._convert = bytes if encoding == "pcm_s16le" else converter(encoding)
        self._count_start()
        audio_format, options = AudioFormat("pcm_s16le", rate, channels), SpeechOptions(self._language)
        session = await asyncio.to_thread(self._sessions.create, audio_format, options, resumes=False)
        self._final = self._loop.create_future()
        self._session, self._is_stopped = session, False
        await asyncio.to_thread(session.attach, self._hear)
        return session

    def _count_start(self) -> None:
        gate: Gate = self._app.state.entry
        who = f"wyoming {self._writer.get_extra_info('peername')[0]}"
        wait = gate.starts.blocked_for(who)
        if wait > 0:
            raise TooManyStarts(self._settings.max_starts_per_minute, wait)
        gate.starts.count(who)

    def _hear(self, event: SessionEvent) -> None:
        if isinstance(event, Finalised | Ended | Failed):
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                self._loop.call_soon_threadsafe(self._take, event, self._final)

    def _take(self, event: SessionEvent, final: asyncio.Future[str]) -> None:
        match event:
            case Finalised() if not final.done():
                final.set_result(event.final.text.strip())
            case Ended(reason=reason):
                if not final.done():
                    final.set_result("")
                if reason == "shutdown" and final is self._final and not self._is_stopped:
                    self._break_off(SESSION_PROBLEMS.error("server_stopping"))
            case Failed(error):
                if not final.done():
                    final.set_exception(error)
                    final.exception()  # the task that waits for it reports it
                if final is self._final and not self._is_stopped:
                    self._break_off(error)

    def _break_off(self, error: OpenmicError) -> None:
        if not self._broken_off.done():
            self._broken_off.set_result(error)

    def _hang_up(self, session: Session) -> None:
        with contextlib.suppress(OpenmicError):  # it was stopped before
            session.stop()

    def _info(self) -> Json:
        model = self._sessions.engine.info
        whose = {"name": "OpenAI", "url": "https://github.com/openai/whisper"}
        shown = {"name": model.name, "attribution": whose, "installed": True, "description": f"Whisper {model.name}"}
        described = {
            "name": "openmic",
            "attribution": {"name": "openmic", "url": "https://github.com/openai/whisper"},
            "installed": True,
            "description": "Live transcription with Whisper",
            "version": None,
            "models": [shown | {"version": None, "languages": list(model.languages)}],
            "supports_transcript_streaming": False,
            "requires_external_vad": False,
        }
        return {"asr": [described], "tts": [], "handle": [], "intent": [], "wake": []}

    async def _send(self, kind: str, data: Json) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            self._writer.write(to_bytes(Event(kind, data)))
            await self._writer.drain()
