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
from openmic.server.access.client_access import ClientAccess
from openmic.server.access.connections import Connections
from openmic.server.access.gate import Gate
from openmic.server.dialects.client_socket import ClientSocket, Gone
from openmic.server.dialects.dialect import (
    Dialect,
    Frame,
    Notice,
    Outgoing,
    Rejected,
    Reply,
)
from openmic.server.dialects.opening import SessionOpener, stop
from openmic.server.dialects.outbox import Outbox
from openmic.server.dialects.rate_limit import RateLimit
from openmic.server.dialects.requests import Requests
from openmic.server.dialects.writing import Closing, EventWriter
from openmic.server.problems import PROBLEMS
from openmic.server.uvicorn_protocols.websocket import abort_soon
from openmic.sessions.events import Failed, Live, Progressed, SessionEvent
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.types import AudioFormat, SpeechOptions
from openmic.settings import Settings

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 20.0  # how long what a client sent before it went is still read, where it cannot come back
REFUSED_SECONDS = 1.0  # how long a refused client has to read why and to close; uvicorn would wait for 10 s
NEWEST_ONLY = {Live: "live", Progressed: "progress"}  # of these only the newest waits for a slow reader


class Refused(Exception):
    """The connection ends with an error."""

    def __init__(self, error: OpenmicError) -> None:
        super().__init__(error.code)
        self.error = error


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
        self._access = ClientAccess(self, websocket, gate, connections)
        self._opener = SessionOpener(sessions, settings, self._access, resumes=dialect.resumes)
        self._rate_limit = RateLimit(settings.max_message_rate)
        self._let_in = False
        self._session: Session | None = None
        self._has_begun = False
        self._put_back: deque[Frame] = deque()
        self._reading: asyncio.Timeout | None = None
        self._session_over = asyncio.Event()
        self._drains = False  # the client has gone, and what it sent before is still read
        self._outbox: Outbox[Outgoing | Reply] = Outbox()
        self._requests = Requests(settings, self._outbox, self._session_over)
        self._writer = EventWriter(self._outbox, dialect, self._socket, self._leave_session)

    async def serve(self) -> str | None:
        """Run the connection to its end; returns the code of the error that ended it, if one did."""
        try:
            try:
                self._enter()
                await self._run()
            except Refused as refused:
                await self._refuse(refused.error)
                self._access.log_refusal(refused.error.code)
                return refused.error.code
            except Closing as closing:
                await self._socket.close(closing.code, closing.reason)
                return closing.error_code
        except Gone:  # nobody is left to tell
            pass
        finally:
            self._access.leave()
            self._outbox.close()
            if not self._let_in:
                abort_soon(self.websocket, REFUSED_SECONDS)
        return None

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
            late = "token_missing" if self._access.token is None else "first_message_late"
            raise PROBLEMS.error(late, seconds=seconds) from None

    def authenticate(self, shown: str | None, *, begins: bool) -> None:
        """Let the client in by the token of its first message, unless its handshake had one.

        Args:
            shown: in the first message, if any.
            begins: it wants a new session. A token whose life is over may still resume.

        Raises:
            OpenmicError: see ``Gate.check``; ``token_expired``.
        """
        self._access.authenticate(shown, begins=begins, on_revoked=self._revoked)

    async def open(
        self,
        audio_format: AudioFormat,
        options: SpeechOptions,
        *,
        words: bool = False,
        endpoint_silence_seconds: float | None = None,
    ) -> Session:
        """A new session; see ``Sessions.create`` and ``Gate.count_start``."""
        return await self._opener.open(
            audio_format, options, words=words, endpoint_silence_seconds=endpoint_silence_seconds
        )

    async def resume(self, session_id: str, resume_token: str) -> Session:
        """A session that was begun before; see ``Sessions.resume`` and ``TokenStore.check_not_revoked``.

        Waits while another process still holds it, for as long as that takes where it has just died.
        """
        return await self._opener.resume(session_id, resume_token)

    async def attach(self, session: Session, hello: Iterable[Frame] = (), after_seq: int = 0) -> None:
        """From now on the client is told what the session says.

        Args:
            session: that was opened or resumed.
            hello: told before all of it.
            after_seq: the last counted event that the client knows.
        """
        await self._socket.accept()
        self._access.authenticated()
        self._outbox.put(Reply(tuple(hello)))
        self._has_begun = True  # a client that has read the hello gets warnings
        self._session_over.clear()
        await asyncio.to_thread(session.attach, self._hear, after_seq)
        self._session, self._let_in = session, True
        self._opener.attached()
        token_id = self._access.token.id if self._access.token is not None else ""
        log_event(logger, "stream_attached", session=session.id, resumed=self._opener.resumed, token_id=token_id)

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
            self._access.enter()
            self._access.admit(self._dialect.shown_token(self.websocket))
        except OpenmicError as error:
            raise Refused(error) from error

    async def _run(self) -> None:
        reading, writing = asyncio.create_task(self._talk()), asyncio.create_task(self._writer.run())
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
            await self._opener.finish_unattached()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def _has_audio_to_come(self) -> bool:
        """Whether a client that has gone, and cannot come back, may have sent what is not read yet."""
        return not self._dialect.resumes and (self._session is None or self._session.state is State.RECEIVING)

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
                    await asyncio.shield(asyncio.to_thread(stop, session))
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
                await self._requests.carry_out(self._dialect.read(frame), session)
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

    def _leave_session(self) -> None:
        """The client has read its session's last event: what ``_read`` waits for does not come any more."""
        self._session_over.set()
        if self._reading is not None and not self._reading.expired():
            with contextlib.suppress(RuntimeError):  # nothing is being waited for
                self._reading.reschedule(asyncio.get_running_loop().time())
