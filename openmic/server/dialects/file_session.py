"""A session that is fed with an uploaded file, while its request waits for what comes of it.

A stream that reaches a limit gets the final of what was heard, and is told. A file is answered with the error: nobody
looks for a warning beside a text.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import Request

from openmic.errors import OpenmicError
from openmic.server.access.gate import Gate
from openmic.server.dialects.request_body import ReadsBytes
from openmic.sessions.events import Ended, Failed, Finalised, Progressed, SessionEvent, Warned
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.session import Session
from openmic.sessions.types import FinalText

CHUNK_BYTES = 65_536
CUT_SHORT = ("session_too_long", "too_many_bytes")  # warnings after which the rest of a file is not heard
VANISHED_SECONDS = 1.0  # how often a waiting request looks whether its client is still there

WARNING_HEADER = "openmic-warning"

FileEvent = Progressed | Warned | Finalised | Ended | Failed
"""The events that an upload waits for."""


class FileSession:
    """``await begin``, then ``final`` or ``events``, then ``await leave``, whatever happens in between.

    Attributes:
        warnings: of what was heard so far.
    """

    def __init__(self, request: Request, session: Session) -> None:
        self._gate: Gate = request.app.state.entry
        self._request = request
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[FileEvent] = asyncio.Queue()  # bounded by what a session says: about one a second
        self._over = False
        self.warnings: list[OpenmicError] = []

    async def begin(self, upload: ReadsBytes) -> None:
        """Give the session the whole file, and stop it.

        Raises:
            OpenmicError: from ``upload``.
        """
        await asyncio.to_thread(self._session.attach, self._hear)
        while chunk := await upload.read(CHUNK_BYTES):
            try:
                await asyncio.to_thread(self._session.write, chunk)
            except OpenmicError:  # it takes no more: too long, or no audio; its last event says so
                break
        with contextlib.suppress(OpenmicError):
            await asyncio.to_thread(self._session.stop)

    async def final(self) -> FinalText:
        """The final text of the whole file.

        Raises:
            OpenmicError: whatever the session ended with; ``session_too_long``, ``too_many_bytes``: the file has more
                than a session may have; ``client_gone``.
        """
        final: FinalText | None = None
        async for event in self.events():
            match event:
                case Finalised():
                    final = event.final
                case Failed(error):
                    raise error
        if final is None:
            raise SESSION_PROBLEMS.error("client_gone")
        return final

    def warning_headers(self) -> dict[str, str]:
        """What a client should know about the file beside its text."""
        return {WARNING_HEADER: ", ".join(warning.code for warning in self.warnings)} if self.warnings else {}

    async def events(self) -> AsyncIterator[FileEvent]:
        """What the session says, to its end, or until the client has gone."""
        while not self._over:
            try:
                async with asyncio.timeout(VANISHED_SECONDS):
                    event = await self._events.get()
            except TimeoutError:
                if await self._request.is_disconnected():
                    return
                continue
            self._over = isinstance(event, Ended | Failed)
            yield event

    async def leave(self) -> None:
        """Let go of the session; one that is not over ends, as nobody waits for it. Safe to call again."""
        self._gate.tokens.unwatch(self)
        self._session.detach(self._hear)
        if not self._over:
            self._over = True
            gone = SESSION_PROBLEMS.error("client_gone")
            await asyncio.shield(asyncio.to_thread(self._session.abandon, gone))  # also where the request is cancelled

    def fail(self, error: OpenmicError) -> None:
        """Answer with ``error``; what was said is finished all the same. From any thread."""
        self._hear(Failed(error))

    def _hear(self, event: SessionEvent) -> None:
        if isinstance(event, Warned):
            self.warnings.append(event.error)
            if event.error.code in CUT_SHORT:  # the text of a part would look like that of the whole
                event = Failed(event.error)
        if isinstance(event, FileEvent):
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                self._loop.call_soon_threadsafe(self._events.put_nowait, event)
