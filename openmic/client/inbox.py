"""What the service said and the caller has not read yet."""

from __future__ import annotations

import asyncio
from collections import deque

from openmic.client.result import Message

NEWEST_ONLY = ("live", "progress")
MAX_UNREAD = 10_000  # messages; then the socket is not read any further, and the service feels it


class Inbox:
    """A queue in which a ``live`` or ``progress`` message replaces an unread one: only the newest is worth reading."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self._error: BaseException | None = None

    async def put(self, message: Message) -> None:
        """Append; waits while MAX_UNREAD are unread."""
        last = self._messages[-1] if self._messages else None
        if last is not None and last["type"] == message["type"] and message["type"] in NEWEST_ONLY:
            self._messages[-1] = message
            return
        while len(self._messages) >= MAX_UNREAD and not self._closed:
            self._changed.clear()
            await self._changed.wait()
        self._messages.append(message)
        self._changed.set()

    async def get(self) -> Message | None:
        """The next message; None at the end.

        Raises:
            BaseException: what ``close`` was told, once all messages have been read.
        """
        while not self._messages:
            if self._error is not None:
                raise self._error
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        self._changed.set()
        return self._messages.popleft()

    def close(self, error: BaseException | None = None) -> None:
        """No message will follow; the first call counts."""
        if not self._closed:
            self._closed, self._error = True, error
            self._changed.set()

    @property
    def closed(self) -> bool:
        """Whether no message will follow."""
        return self._closed

    @property
    def error(self) -> BaseException | None:
        """Why it ended, where that was not in order."""
        return self._error
