"""An event loop in a thread of its own: for plain functions, also where the caller's thread runs a loop already."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

_T = TypeVar("_T")
_START_SECONDS = 10.0
_STOP_SECONDS = 10.0


class LoopThread:
    """``with`` starts the loop and ends it; ``run`` waits in the caller's thread for a coroutine that runs there."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._end: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._serve, name="openmic-client", daemon=True)

    def __enter__(self) -> LoopThread:
        self._thread.start()
        self._started.wait(_START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_STOP_SECONDS)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of ``work``; when the caller is interrupted, ``work`` is cancelled and has ended before this ends.

        The coroutine's own waits must have ends.
        """
        assert self._loop is not None, "the loop is not running"
        over = threading.Event()
        tasks: list[asyncio.Task[_T]] = []

        def begin() -> None:
            task = asyncio.ensure_future(work)
            tasks.append(task)
            task.add_done_callback(lambda _: over.set())

        self._loop.call_soon_threadsafe(begin)
        try:
            over.wait()
        except BaseException:
            self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            over.wait(_STOP_SECONDS)
            raise
        return tasks[0].result()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let ``work`` run beside the caller, who does not wait; it is cancelled when the loop ends."""
        assert self._loop is not None, "the loop is not running"

        def start() -> None:
            task = asyncio.ensure_future(work)
            self._tasks.add(task)  # a loop itself holds no task that waits
            task.add_done_callback(self._tasks.discard)

        self._loop.call_soon_threadsafe(start)

    def call(self, function: Callable[[], object]) -> None:
        """Call ``function`` in the loop's thread, soon."""
        assert self._loop is not None, "the loop is not running"
        self._loop.call_soon_threadsafe(function)

    def _serve(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._until_end())

    async def _until_end(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        await self._end.wait()
