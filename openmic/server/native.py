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
from openmic.server.auth import check_token, handshake_token
from openmic.server.messages import (
    SUBPROTOCOL,
    Ack,
    Flush,
    Message,
    Ping,
    Pong,
    Ready,
    Resume,
    Start,
    Stop,
    StreamLimits,
)
from openmic.server.outbox import Outbox
from openmic.server.problems import PROBLEMS, close_code
from openmic.server.socket_protocol import abort
from openmic.server.strangers import Strangers
from openmic.server.wire import notice, parse, to_message, to_text
from openmic.sessions.events import Ended, Failed, Finalised, Live, Replaced, SessionEvent
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.types import AudioFormat, SpeechOptions
from openmic.settings import Settings

logger = logging.getLogger(__name__)

SEND_SECONDS = 20.0  # how long one message may take to leave before a client counts as not reading
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
        self, websocket: WebSocket, settings: Settings, sessions: Sessions, token: str, strangers: Strangers
    ) -> None:
        self._websocket = websocket
        self._settings = settings
        self._sessions = sessions
        self._token = token
        self._strangers = strangers
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
                await self._send(to_text(notice(refused.error, fatal=True)))
                await self._close(close_code(refused.error.code), refused.error.code)
                return refused.error.code
            except Closing as closing:
                await self._close(closing.code, closing.error_code or "")
                return closing.error_code
        except Gone:
            logger.info("a client has gone")
        finally:
            self._strangers.leave(self)
            self._outbox.close()
        return None

    # --- the first message

    async def _begin(self) -> Session:
        """Authenticate, open or find the session, and say ``ready``."""
        shown = handshake_token(self._websocket)
        try:
            if shown is not None:
                check_token(shown, self._token)
            else:
                self._strangers.admit(self)
        except OpenmicError as error:
            raise Refused(error) from error
        try:
            async with asyncio.timeout(self._settings.first_message_seconds):
                first = await self._receive()
        except TimeoutError:
            late = PROBLEMS.error("first_message_late", seconds=self._settings.first_message_seconds)
            raise Refused(late if shown is not None else PROBLEMS.error("token_missing")) from None
        try:
            if isinstance(first, bytes):
                raise PROBLEMS.error("not_started", got="a binary message")
            message = parse(first)
            if not isinstance(message, Start | Resume):
                raise PROBLEMS.error("not_started", got=f"the message {message.type}")
            if shown is None:
                check_token(message.token, self._token)
                self._strangers.leave(self)
            return await self._open(message)
        except OpenmicError as error:
            raise Refused(error) from error

    async def _open(self, message: Start | Resume) -> Session:
        if isinstance(message, Start):
            audio_format = AudioFormat(message.encoding, message.sample_rate, message.channels)  # type: ignore[arg-type]
            options = SpeechOptions(message.language, message.task, message.prompt)
            session = await asyncio.to_thread(self._sessions.create, audio_format, options, words=message.words)
            after_seq = 0
        else:
            session = self._sessions.resume(message.session_id, message.resume_token)
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
        return session

    def _hear(self, event: SessionEvent) -> None:
        self._outbox.put(event, kind="live" if isinstance(event, Live) else None)

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
                else:
                    await self._control(session, received)
            except OpenmicError as error:
                if error.code in ("bad_json", "bad_message", "message_too_large"):
                    raise Refused(error) from error
                if error.code != "already_stopped" or session.reason == "stopped":
                    self._outbox.put(notice(error, fatal=False))

    async def _control(self, session: Session, text: str) -> None:
        message = parse(text)
        match message:
            case Ping():
                self._outbox.put(Pong())
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
