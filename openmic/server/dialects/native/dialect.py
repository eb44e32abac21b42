"""The native dialect: one WebSocket connection of ``/v1/stream``, from its token to its close code.

Two tasks share a connection: one reads what the client sends, one writes what the session says. Whichever ends
first ends the connection; the session outlives it unless it has ended itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import NoReturn

from starlette.websockets import WebSocket

from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.server.access.connections import Connections
from openmic.server.access.credentials import handshake_token
from openmic.server.access.gate import Gate
from openmic.server.dialects.native.codec import error_message, parse, to_message, to_text, warning_message
from openmic.server.dialects.native.messages import (
    SUBPROTOCOL,
    Ack,
    Flush,
    Ping,
    Pong,
    Ready,
    Resume,
    Start,
    Stop,
    StreamLimits,
)
from openmic.server.dialects.outbox import Outbox
from openmic.server.dialects.rate_limit import RateLimit
from openmic.server.problems import PROBLEMS, close_code
from openmic.server.uvicorn_protocols.websocket import abort, abort_soon
from openmic.sessions.events import Ended, Failed, Finalised, Live, Progressed, Replaced, SessionEvent
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.registry import Sessions
from openmic.sessions.schemas import Message
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.types import AudioFormat, SpeechOptions
from openmic.settings import Settings

logger = logging.getLogger(__name__)

SEND_SECONDS = 20.0  # how long one message may take to leave before a client counts as not reading
REFUSED_SECONDS = 1.0  # how long one that was not let in has to read why and to close; uvicorn would wait for 10 s
BACKLOG_LOOK_SECONDS = 0.05  # how often a full backlog is looked at
DONE = 1000
GOING_AWAY = 1001


class Gone(Exception):
    """The client has gone, or reads nothing: there is nobody to tell."""


class Refused(Exception):
    """The connection ends with an error."""

    def __init__(self, error: OpenmicError) -> None:
        super().__init__(error.code)
        self.error = error


class Closing(Exception):
    """The session's last message is out; the connection ends with this code."""

    def __init__(self, code: int, error_code: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.error_code = error_code


class NativeConnection:
    """One client on ``/v1/stream``."""

    def __init__(
        self, websocket: WebSocket, settings: Settings, sessions: Sessions, entry: Gate, connections: Connections
    ) -> None:
        self._websocket = websocket
        self._settings = settings
        self._sessions = sessions
        self._entry = entry
        self._connections = connections
        self._pace = RateLimit(settings.max_message_rate)
        self._session: Session | None = None
        self._outbox: Outbox[SessionEvent | Message] = Outbox()
        self._words = False

    async def serve(self) -> str | None:
        """Run the connection to its end; returns the code of the error that ended it, if one did."""
        offered = self._websocket.scope.get("subprotocols", [])
        try:
            await self._websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
            try:
                session = await self._begin()
                await self._run(session)
            except Refused as refused:
                await self._send(to_text(error_message(refused.error, fatal=True)))
                await self._close(close_code(refused.error.code), refused.error.code)
                address = self._entry.address(self._websocket)
                log_event(logger, "connection_refused", code=refused.error.code, address=address)
                return refused.error.code
            except Closing as closing:
                await self._close(closing.code, closing.error_code or "")
                return closing.error_code
        except Gone:  # there is nobody to tell
            pass
        finally:
            self._entry.strangers.leave(self)
            self._entry.keys.unwatch(self)
            self._connections.leave(self)
            self._outbox.close()
            if self._session is None:
                abort_soon(self._websocket, REFUSED_SECONDS)
        return None

    # --- the first message

    async def _begin(self) -> Session:
        """Let the client in, open or find the session, and say ``ready``."""
        try:
            self._entry.check_origin(self._websocket)
            self._connections.enter(self)
            shown = handshake_token(self._websocket)
            key = self._entry.check(shown, self._websocket) if shown is not None else None
            if key is None or key.expired:  # one whose life is over may only resume: a stranger until then
                self._entry.strangers.admit(self)
            message = await self._first_message(late="token_missing" if key is None else "first_message_late")
            if key is None:
                key = self._entry.check(message.token, self._websocket)
            if isinstance(message, Start):
                key.check_alive()
            self._entry.keys.watch(self, key, self._revoked)
            session = await self._open(message)
            self._entry.strangers.leave(self)
        except OpenmicError as error:
            raise Refused(error) from error
        resumed = isinstance(message, Resume)
        log_event(logger, "stream_attached", session=session.id, resumed=resumed, token_id=key.id)
        return session

    async def _first_message(self, late: str) -> Start | Resume:
        """The first message, if it comes in time and is one that may be first; ``late``: the problem if it is late."""
        seconds = self._settings.first_message_seconds
        try:
            async with asyncio.timeout(seconds):
                first = await self._receive()
        except TimeoutError:
            raise PROBLEMS.error(late, seconds=seconds) from None
        if isinstance(first, bytes):
            raise PROBLEMS.error("not_started", got="a binary message")
        message = parse(first)
        if not isinstance(message, Start | Resume):
            raise PROBLEMS.error("not_started", got=f"the message {message.type}")
        return message

    async def _open(self, message: Start | Resume) -> Session:
        if isinstance(message, Start):
            audio_format = AudioFormat(message.encoding, message.sample_rate, message.channels)  # type: ignore[arg-type]
            options = SpeechOptions(message.language, message.task, message.prompt)
            session = await asyncio.to_thread(self._sessions.create, audio_format, options, words=message.words)
            after_seq = 0
        else:
            session = await asyncio.to_thread(self._sessions.resume, message.session_id, message.resume_token)
            after_seq = message.after_seq
        self._words = session.words
        info = self._sessions.engine.info
        ready = Ready(
            session_id=session.id,
            resume_token=session.resume_token,
            model=info.name,
            device=info.device,
            received_bytes=session.received_bytes,
            limits=StreamLimits(
                max_seconds=self._settings.max_seconds,
                idle_seconds=self._settings.idle_seconds,
                max_message_bytes=self._settings.max_message_bytes,
            ),
        )
        self._outbox.put(ready)
        await asyncio.to_thread(session.attach, self._hear, after_seq)
        self._session = session
        return session

    def _hear(self, event: SessionEvent) -> None:
        newest_only = {Live: "live", Progressed: "progress"}
        self._outbox.put(event, kind=newest_only.get(type(event)))

    # --- said to this connection from elsewhere, from any thread

    def warn(self, warning: OpenmicError, url: str | None = None) -> None:
        """Tell the client something to know about, once its stream has begun."""
        if self._session is not None:
            self._outbox.put(warning_message(warning, url), kind=("warning", warning.code))

    def waiting_messages(self) -> int:
        """How many messages are on their way to the client."""
        return len(self._outbox)

    def _revoked(self) -> None:
        """Its token was taken back: the client is told so and closed (4401), what it said is finished."""
        self._outbox.put(Failed(PROBLEMS.error("token_revoked")))
        if self._session is not None:
            with contextlib.suppress(OpenmicError):  # it was stopped before
                self._session.stop()

    # --- both directions

    async def _run(self, session: Session) -> None:
        try:
            tasks = {asyncio.create_task(self._read(session)), asyncio.create_task(self._write())}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome
        finally:
            session.detach(self._hear)
            log_event(logger, "stream_detached", session=session.id, state=session.state.value)

    async def _read(self, session: Session) -> NoReturn:
        while True:
            try:
                async with asyncio.timeout(self._settings.idle_seconds if session.state is State.RECEIVING else None):
                    received = await self._receive()
            except TimeoutError:
                await self._finish_idle(session)
                continue
            try:
                if isinstance(received, bytes):
                    self._outbox.put(Ack(received_bytes=await asyncio.to_thread(session.write, received)), kind="ack")
                    await self._wait_for_decoding(session)
                else:
                    await self._control(session, received)
            except OpenmicError as error:
                if error.code in ("bad_json", "bad_message", "message_too_large"):
                    raise Refused(error) from error
                if error.code != "already_stopped" or session.reason == "stopped":
                    self._outbox.put(error_message(error, fatal=False), kind=("error", error.code))
            await self._pace.keep()

    async def _wait_for_decoding(self, session: Session) -> None:
        """Read no further while too much waits to be decoded: the socket then slows the client down.

        Not for longer than pings can wait for their answer, which comes in through the same socket.
        """
        for _ in range(round(self._settings.ping_seconds / 2 / BACKLOG_LOOK_SECONDS)):
            if session.backlog_bytes <= self._settings.max_backlog_bytes or session.state is not State.RECEIVING:
                return
            await asyncio.sleep(BACKLOG_LOOK_SECONDS)

    async def _control(self, session: Session, text: str) -> None:
        message = parse(text)
        match message:
            case Ping():
                self._outbox.put(Pong(), kind="pong")
            case Flush():
                await asyncio.to_thread(session.flush)
            case Stop():
                await asyncio.to_thread(session.stop)
            case _:
                raise PROBLEMS.error("already_started")

    async def _finish_idle(self, session: Session) -> None:
        idle = SESSION_PROBLEMS.error("idle_too_long", idle_seconds=self._settings.idle_seconds)
        with contextlib.suppress(OpenmicError):  # it was stopped at the same moment
            await asyncio.to_thread(session.stop, "timeout", idle)

    async def _write(self) -> NoReturn:
        while True:
            item = await self._outbox.get()
            if isinstance(item, Finalised):  # a long one takes a while to write down
                text = await asyncio.to_thread(self._text, item)
            else:
                text = self._text(item)
            await self._send(text)
            match item:
                case Ended():
                    raise Closing(GOING_AWAY if item.reason == "shutdown" else DONE)
                case Failed(error):
                    raise Closing(close_code(error.code), error.code)
                case Replaced():
                    raise Closing(close_code("replaced"), "replaced")

    def _text(self, item: SessionEvent | Message) -> str:
        return to_text(item if isinstance(item, Message) else to_message(item, words=self._words))

    # --- the socket

    async def _receive(self) -> str | bytes:
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise Gone
        received: str | bytes | None = event.get("bytes")
        if received is None:
            received = event.get("text") or ""
        size = len(received if isinstance(received, bytes) else received.encode(errors="replace"))
        if size > self._settings.max_message_bytes:
            limit = self._settings.max_message_bytes
            raise Refused(PROBLEMS.error("message_too_large", size=size, max_message_bytes=limit))
        return received

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._websocket.send_text(text)
        except TimeoutError as error:
            abort(self._websocket)
            raise Gone from error
        except Exception as error:
            raise Gone from error

    async def _close(self, code: int, reason: str = "") -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._websocket.close(code, reason)
        except Exception as error:
            raise Gone from error
