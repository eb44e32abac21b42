"""One client's WebSocket, whatever its dialect: its token, its limits, its pace, both directions, its end.

Two tasks share a connection: one reads what the client sends, one writes what the session says. The first to end ends
the connection; the session outlives it unless it has ended itself. A connection carries one session, or, where its
dialect goes on after one, several in a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NoReturn

from starlette.websockets import WebSocket

from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.server.access.connections import Connections
from openmic.server.access.gate import Gate
from openmic.server.access.tokens import AccessToken
from openmic.server.dialects.client_socket import ClientSocket, Gone
from openmic.server.dialects.dialect import (
    Acknowledged,
    Answer,
    Audio,
    Configure,
    Dialect,
    Flush,
    Frame,
    Goodbye,
    Leaving,
    Notice,
    Outgoing,
    Rejected,
    Renew,
    Reply,
    Stop,
)
from openmic.server.dialects.outbox import Outbox
from openmic.server.dialects.rate_limit import RateLimit
from openmic.server.problems import PROBLEMS
from openmic.server.uvicorn_protocols.websocket import abort_soon
from openmic.sessions.events import Ended, Failed, Finalised, Live, Progressed, Replaced, SessionEvent
from openmic.sessions.problems import SessionHeld
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.types import AudioFormat, SpeechOptions
from openmic.settings import Settings

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 20.0  # how long what a client sent before it went is still read, where it cannot come back
REFUSED_SECONDS = 1.0  # how long a refused client has to read why and to close; uvicorn would wait for 10 s
HELD_FACTOR = 1.3  # of the time after which a dead process's sessions may be taken over: so long a resume waits for one
HELD_LOOK_SECONDS = 0.1  # how often it looks meanwhile
BACKLOG_LOOK_SECONDS = 0.05  # how often a full backlog is looked at
NEWEST_ONLY = {Live: "live", Progressed: "progress"}  # of these only the newest waits for a slow reader


class Refused(Exception):
    """The connection ends with an error."""

    def __init__(self, error: OpenmicError) -> None:
        super().__init__(error.code)
        self.error = error


class Closing(Exception):
    """The last message is out; the connection ends with this code and reason, because of an error if one is named."""

    def __init__(self, code: int, error_code: str | None = None, reason: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.error_code = error_code
        self.reason = (error_code or "") if reason is None else reason


class StreamConnection:
    """One client that streams.

    Args:
        websocket: not accepted yet.
        dialect: what it speaks.
        settings: limits.
        sessions: where its session is opened.
        gate: what lets it in.
        connections: all that are open.

    Attributes:
        websocket, settings, sessions: as the arguments, for the dialect to read.
    """

    def __init__(
        self,
        websocket: WebSocket,
        dialect: Dialect,
        settings: Settings,
        sessions: Sessions,
        gate: Gate,
        connections: Connections,
    ) -> None:
        self.websocket = websocket
        self.settings = settings
        self.sessions = sessions
        self._socket = ClientSocket(websocket, dialect.subprotocol, settings.max_message_bytes)
        self._dialect = dialect
        self._gate = gate
        self._connections = connections
        self._rate_limit = RateLimit(settings.max_message_rate)
        self._token: AccessToken | None = None
        self._let_in = False
        self._session: Session | None = None
        self._has_begun = False
        self._resumed = False
        self._put_back: deque[Frame] = deque()
        self._reading: asyncio.Timeout | None = None
        self._session_over = asyncio.Event()
        self._drains = False  # the client has gone, and what it sent before is still read
        self._unattached: asyncio.Task[Session] | None = None  # the session that is opened, until it has its client
        self._outbox: Outbox[Outgoing | Reply] = Outbox()

    async def serve(self) -> str | None:
        """Run the connection to its end; returns the code of the error that ended it, if one did."""
        try:
            try:
                self._enter()
                await self._run()
            except Refused as refused:
                await self._refuse(refused.error)
                self._log_refusal(refused.error.code)
                return refused.error.code
            except Closing as closing:
                await self._socket.close(closing.code, closing.reason)
                return closing.error_code
        except Gone:  # nobody is left to tell
            pass
        finally:
            self._gate.unauthenticated.leave(self)
            self._gate.tokens.unwatch(self)
            self._connections.leave(self)
            self._outbox.close()
            if not self._let_in:
                abort_soon(self.websocket, REFUSED_SECONDS)
        return None

    def _log_refusal(self, code: str) -> None:
        address = self._gate.address(self.websocket)
        unlogged = self._gate.refusals.due("connection_refused", code, address)
        if unlogged is not None:
            log_event(logger, "connection_refused", code=code, address=address, unlogged=unlogged or None)

    # --- for the dialect, until its session is open

    async def accept(self) -> None:
        """Answer the handshake, unless that was done."""
        await self._socket.accept()

    async def next_frame(self) -> Frame:
        """The next message, however late it comes: for a client that has shown its token in the handshake."""
        await self._socket.accept()
        if self._put_back:
            return self._put_back.popleft()
        frame = await self._socket.receive()
        await self._rate_limit.keep()
        return frame

    def put_back(self, frames: Sequence[Frame]) -> None:
        """Messages that came before there was a session, and that ``read`` is to see once there is one."""
        self._put_back.extendleft(reversed(frames))

    def say(self, frames: Iterable[Frame]) -> None:
        """Tell the client something that is no session's event."""
        self._outbox.put(Reply(tuple(frames)))

    async def first_frame(self) -> Frame:
        """The first message.

        Raises:
            OpenmicError: ``token_missing`` or ``first_message_late``: it does not come in time.
        """
        seconds = self.settings.first_message_seconds
        await self._socket.accept()
        try:
            async with asyncio.timeout(seconds):
                return await self._socket.receive()
        except TimeoutError:
            late = "token_missing" if self._token is None else "first_message_late"
            raise PROBLEMS.error(late, seconds=seconds) from None

    def authenticate(self, shown: str | None, *, begins: bool) -> None:
        """Let the client in by the token of its first message, unless its handshake had one.

        Args:
            shown: in the first message, if any.
            begins: it wants a new session. A token whose life is over may still resume.

        Raises:
            OpenmicError: see ``Gate.check``; ``token_expired``.
        """
        if self._token is None:
            self._token = self._gate.check(shown, self.websocket)
        if begins:
            self._token.check_alive()
        self._gate.tokens.watch(self, self._token, self._revoked)

    async def open(
        self,
        audio_format: AudioFormat,
        options: SpeechOptions,
        *,
        words: bool = False,
        endpoint_silence_seconds: float | None = None,
    ) -> Session:
        """A new session; see ``Sessions.create`` and ``Gate.count_start``."""
        assert self._token is not None
        self._gate.count_start(self._token, self.websocket)
        create = asyncio.to_thread(
            self.sessions.create,
            audio_format,
            options,
            words=words,
            token_id=self._token.id,
            endpoint_silence_seconds=endpoint_silence_seconds,
            resumes=self._dialect.resumes,
        )
        self._unattached = asyncio.create_task(create)
        return await asyncio.shield(self._unattached)

    async def resume(self, session_id: str, resume_token: str) -> Session:
        """A session that was begun before; see ``Sessions.resume`` and ``TokenStore.check_not_revoked``.

        Waits while another process still holds it, for as long as that takes where it has just died.
        """
        self._resumed = True
        loop = asyncio.get_running_loop()
        wait_until = loop.time() + self.settings.lease_seconds * HELD_FACTOR
        while True:
            try:
                session = await asyncio.to_thread(self.sessions.resume, session_id, resume_token)
                break
            except SessionHeld:
                if loop.time() >= wait_until:
                    raise
                await asyncio.sleep(HELD_LOOK_SECONDS)
        self._gate.tokens.check_not_revoked(session.token_id)
        return session

    async def attach(self, session: Session, hello: Iterable[Frame] = (), after_seq: int = 0) -> None:
        """From now on the client is told what the session says.

        Args:
            session: that was opened or resumed.
            hello: told before all of it.
            after_seq: the last counted event that the client knows.
        """
        await self._socket.accept()
        self._gate.unauthenticated.leave(self)
        self._outbox.put(Reply(tuple(hello)))
        self._has_begun = True  # a client that has read the hello gets warnings
        self._session_over.clear()
        await asyncio.to_thread(session.attach, self._hear, after_seq)
        self._session, self._let_in, self._unattached = session, True, None
        token_id = self._token.id if self._token is not None else ""
        log_event(logger, "stream_attached", session=session.id, resumed=self._resumed, token_id=token_id)

    # --- said to this connection from elsewhere, from any thread

    def warn(self, warning: OpenmicError, url: str | None = None) -> None:
        """Tell the client something to know about, once its stream has begun."""
        if self._has_begun:
            self._outbox.put(Notice(warning, url), kind=("warning", warning.code))

    def end_idle(self, error: OpenmicError) -> None:
        """End the connection with ``error`` if it has no session, whose end it would wait for."""
        if self._session is None:
            self._outbox.put(Failed(error))

    def waiting_messages(self) -> int:
        """How many messages are on their way to the client."""
        return len(self._outbox)

    def _hear(self, event: SessionEvent) -> None:
        self._outbox.put(event, kind=NEWEST_ONLY.get(type(event)))

    def _revoked(self) -> None:
        """Its token was revoked: the client is told so and closed (4401); what was said is finished."""
        self._outbox.put(Failed(PROBLEMS.error("token_revoked")))
        if self._session is not None:
            with contextlib.suppress(OpenmicError):  # it was stopped before
                self._session.stop()

    # --- both directions

    def _enter(self) -> None:
        """Admit the client, as far as its handshake identifies it."""
        try:
            self._gate.check_origin(self.websocket)
            self._connections.enter(self)
            shown = self._dialect.shown_token(self.websocket)
            self._token = self._gate.check(shown, self.websocket) if shown is not None else None
            if self._token is None or self._token.expired:  # an expired one may only resume: not let in until then
                self._gate.unauthenticated.admit(self)
        except OpenmicError as error:
            raise Refused(error) from error

    async def _run(self) -> None:
        reading, writing = asyncio.create_task(self._talk()), asyncio.create_task(self._write())
        tasks = (reading, writing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if writing.done() and isinstance(writing.exception(), Gone) and self._has_audio_to_come():
                self._drains = True
                await asyncio.wait({reading}, timeout=DRAIN_SECONDS)  # nobody sends again what had arrived
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await self._finish_unattached()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def _has_audio_to_come(self) -> bool:
        """Whether a client that has gone, and cannot come back, may have sent what is not read yet."""
        return not self._dialect.resumes and (self._session is None or self._session.state is State.RECEIVING)

    async def _finish_unattached(self) -> None:
        """Finish a session whose client went while it was opened: nobody knows its name."""
        if self._unattached is not None:
            with contextlib.suppress(OpenmicError):  # it was refused
                await asyncio.to_thread(self._hang_up, await self._unattached)

    def _hang_up(self, session: Session) -> None:
        """Finish a session to which nobody can come back; one that has been stopped is left as it is."""
        with contextlib.suppress(OpenmicError):
            session.stop()

    async def _refuse(self, error: OpenmicError) -> None:
        """Tell the client why it is not served (any longer): over HTTP while its handshake has no answer."""
        denial = None if self._socket.accepted else self._dialect.deny(error)
        if denial is not None:
            await self._socket.deny(denial)
            return
        frames, code = self._dialect.refuse(error)
        await self._socket.send(frames)
        await self._socket.close(code, error.code)

    async def _talk(self) -> NoReturn:
        """One session after the other: have the dialect open or find it, and read for it."""
        while True:
            try:
                session = await self._dialect.begin(self)
            except OpenmicError as error:
                raise Refused(error) from error
            try:
                await self._read(session)
            finally:
                if not self._dialect.resumes:
                    await asyncio.shield(asyncio.to_thread(self._hang_up, session))
                self._session = None
                session.detach(self._hear)
                self._has_begun = False
                log_event(logger, "stream_detached", session=session.id, state=session.state.value)

    async def _read(self, session: Session) -> None:
        """Do what the client asks for, until ``session`` has told its last and the connection goes on."""
        while not self._session_over.is_set():
            try:
                async with asyncio.timeout(None) as self._reading:  # ended by ``_leave_session``
                    frame = self._put_back.popleft() if self._put_back else await self._socket.receive()
            except TimeoutError:
                continue
            except OpenmicError as error:
                raise Refused(error) from error
            try:
                await self._do(session, frame)
            except OpenmicError as error:
                if error.ends == "connection":
                    raise Refused(error) from error
                if self._drains:  # nobody is left to tell, and nobody tells of the session's end
                    raise Gone from error
                if error.code == "already_stopped" and self._dialect.renews:
                    self._put_back.appendleft(frame)  # for the next session
                    await self._session_over.wait()
                elif error.ends == "server":  # it has been told so, as the session's last word
                    await self._session_over.wait()
                elif error.code != "already_stopped" or session.reason == "stopped":
                    self._outbox.put(Rejected(error), kind=("error", error.code))
            await self._rate_limit.keep()

    async def _do(self, session: Session, frame: Frame) -> None:
        """Carry out what a frame asks for."""
        match self._dialect.read(frame):
            case Audio(data):
                received_bytes = await asyncio.to_thread(session.write, data)
                self._outbox.put(Acknowledged(received_bytes), kind="ack")
                await self._wait_for_decoding(session)
            case Flush():
                await asyncio.to_thread(session.flush)
            case Stop(within_seconds, flush):
                if flush:
                    await asyncio.to_thread(session.flush)
                await asyncio.to_thread(session.stop)
                if within_seconds is not None:
                    asyncio.get_running_loop().call_later(within_seconds, self._outbox.put, Leaving())
            case Configure(endpoint_silence_seconds, frames, vocabulary, prompt, answer):
                if endpoint_silence_seconds is not None:
                    session.set_endpoint_silence(endpoint_silence_seconds)
                if vocabulary is not None or prompt is not None:
                    await asyncio.to_thread(session.change_vocabulary, vocabulary, prompt)
                if frames:
                    self._outbox.put(Reply(frames))
                if answer is not None:
                    self._outbox.put(answer, kind="configure")
            case Renew():
                with contextlib.suppress(OpenmicError):  # it was stopped at the same moment
                    await asyncio.to_thread(session.stop)
                await self._session_over.wait()
            case Answer() as answer:
                self._outbox.put(answer, kind="configure")
            case Reply(_, kind) as reply:
                self._outbox.put(reply, kind=kind)

    async def _wait_for_decoding(self, session: Session) -> None:
        """Read no further while too much waits to be decoded: the socket then slows the client down.

        Not for longer than pings can wait for their answer, which comes in through the same socket.
        """
        for _ in range(round(self.settings.ping_seconds / 2 / BACKLOG_LOOK_SECONDS)):
            if session.backlog_bytes <= self.settings.max_backlog_bytes or session.state is not State.RECEIVING:
                return
            await asyncio.sleep(BACKLOG_LOOK_SECONDS)

    async def _write(self) -> NoReturn:
        while True:
            outgoing = await self._outbox.get()
            if isinstance(outgoing, Reply):
                await self._socket.send(outgoing.frames)
                continue
            if isinstance(outgoing, Finalised):  # a long one takes a while to write down
                frames = await asyncio.to_thread(self._frames, outgoing)
            else:
                frames = self._frames(outgoing)
            goodbye = frames.pop() if frames and isinstance(frames[-1], Goodbye) else None
            await self._socket.send(frame for frame in frames if not isinstance(frame, Goodbye))
            if isinstance(goodbye, Goodbye):
                error_code = outgoing.error.code if isinstance(outgoing, Failed) else None
                raise Closing(goodbye.code, error_code, goodbye.reason)
            match outgoing:
                case Ended() | Failed() | Replaced():
                    self._leave_session(outgoing)

    def _leave_session(self, last: Ended | Failed | Replaced) -> None:
        """What becomes of the connection once the client has read its session's last event.

        Raises:
            Closing: it ends.
        """
        code = self._dialect.close_code(last)
        if code is not None:
            error_code = (
                last.error.code if isinstance(last, Failed) else "replaced" if isinstance(last, Replaced) else None
            )
            raise Closing(code, error_code)
        self._session_over.set()
        if self._reading is not None and not self._reading.expired():
            with contextlib.suppress(RuntimeError):  # nothing is being waited for
                self._reading.reschedule(asyncio.get_running_loop().time())

    def _frames(self, outgoing: Outgoing) -> list[Frame | Goodbye]:
        return list(self._dialect.write(outgoing))
