"""Carries out what a client asks for, once its dialect has read it from a frame."""

from __future__ import annotations

import asyncio
import contextlib

from openmic.errors import OpenmicError
from openmic.server.dialects.dialect import (
    Acknowledged,
    Answer,
    Asked,
    Audio,
    Configure,
    Flush,
    Leaving,
    Outgoing,
    Renew,
    Reply,
    Stop,
)
from openmic.server.dialects.outbox import Outbox
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.settings import Settings

BACKLOG_LOOK_SECONDS = 0.05  # how often a full backlog is looked at


class Requests:
    """Carries out the requests of one connection.

    Args:
        settings: limits.
        outbox: gets what is to be answered.
        session_over: set once the client has read its session's last event.
    """

    def __init__(self, settings: Settings, outbox: Outbox[Outgoing | Reply], session_over: asyncio.Event) -> None:
        self._settings = settings
        self._outbox = outbox
        self._session_over = session_over

    async def carry_out(self, request: Asked, session: Session) -> None:
        """Do what the client asks for.

        Raises:
            OpenmicError: as the session raises it.
        """
        match request:
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
            case Configure():
                await self._configure(request, session)
            case Renew():
                with contextlib.suppress(OpenmicError):  # it was stopped at the same moment
                    await asyncio.to_thread(session.stop)
                await self._session_over.wait()
            case Answer() as answer:
                self._outbox.put(answer, kind="configure")
            case Reply(_, kind) as reply:
                self._outbox.put(reply, kind=kind)

    async def _configure(self, wanted: Configure, session: Session) -> None:
        if wanted.endpoint_silence_seconds is not None:
            session.set_endpoint_silence(wanted.endpoint_silence_seconds)
        if wanted.vocabulary is not None or wanted.prompt is not None:
            await asyncio.to_thread(session.change_vocabulary, wanted.vocabulary, wanted.prompt)
        if wanted.frames:
            self._outbox.put(Reply(wanted.frames))
        if wanted.answer is not None:
            self._outbox.put(wanted.answer, kind="configure")

    async def _wait_for_decoding(self, session: Session) -> None:
        """Read no further while too much waits to be decoded: the socket then slows the client down.

        Not for longer than pings can wait for their answer, which comes in through the same socket.
        """
        for _ in range(round(self._settings.ping_seconds / 2 / BACKLOG_LOOK_SECONDS)):
            if session.backlog_bytes <= self._settings.max_backlog_bytes or session.state is not State.RECEIVING:
                return
            await asyncio.sleep(BACKLOG_LOOK_SECONDS)
