"""Messages on their way to one client, from any thread to the event loop.

Of what is replaced by something newer of its kind (``live``, ``ack``, ``pong``, an error told once more) only the
newest waits; nothing else is ever dropped. So what a slow reader makes us keep is bounded by what was said.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Outbox(Generic[Item]):
    """A queue whose ``put`` is for any thread and whose ``get`` is for the event loop it was made in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()
        self._lock = threading.Lock()
        self._items: dict[object, Item] = {}  # in order; a replaceable item's key is its kind
        self._closed = False

    def put(self, item: Item, kind: Hashable | None = None) -> None:
        """Add ``item`` at the end; with a ``kind``, an older one of that kind that still waits is dropped."""
        with self._lock:
            if self._closed:
                return
            key: object = kind if kind is not None else object()
            self._items.pop(key, None)
            self._items[key] = item
            try:
                self._loop.call_soon_threadsafe(self._filled.set)
            except RuntimeError:  # the loop has ended without a word; so has the connection
                self._closed = True

    def __len__(self) -> int:
        """How many items wait."""
        with self._lock:
            return len(self._items)

    async def get(self) -> Item:
        """The oldest item; waits for one."""
        while True:
            with self._lock:
                if self._items:
                    return self._items.pop(next(iter(self._items)))
                self._filled.clear()
            await self._filled.wait()

    def close(self) -> None:
        """Take nothing more; the event loop may end after this."""
        with self._lock:
            self._closed = True
            self._items.clear()
