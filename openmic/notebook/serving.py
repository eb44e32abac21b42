"""A cell that stays: it waits on the kernel's own event loop, and answers the front end meanwhile.

While a cell runs, a kernel of ipykernel 6 (Colab's) leaves all messages of the front end in a queue: buttons and the
microphone would wait for the cell's end. So the cell looks into that queue itself, lets the kernel answer what runs no
cell, and puts cells aside; when it ends they are given back, in their order. Kernels of ipykernel 7 answer comm
messages beside a cell that awaits; there it only waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from openmic.notebook.output import kernel

POLL_SECONDS = 0.02  # how often the queue is looked into
ANSWERED = {
    *("comm_open", "comm_msg", "comm_close", "comm_info_request", "kernel_info_request"),
    *("complete_request", "inspect_request", "is_complete_request", "history_request"),
}
"""Messages that run no cell; all others wait."""

Ended = Literal["done", "over", "interrupted"]
"""Why a cell that stayed has ended: what it waited for happened, its time was over, somebody interrupted it."""


def somebody_is_there() -> bool:
    """Whether the running cell's front end could ask a person: papermill and nbconvert say that theirs cannot."""
    running = kernel()
    return running is None or bool(getattr(running, "_allow_stdin", True))


async def stay(turn: Callable[[], bool], seconds: float | None = None, came: list[int] | None = None) -> Ended:
    """Call ``turn`` again and again in the running cell, and answer the front end between the calls.

    Args:
        turn: called every ``POLL_SECONDS``; must return at once. False: what was waited for has happened.
        seconds: the longest wait; None: without end.
        came: of ``interruptions``, in whose block the caller is: none is lost before this begins and after it has
            ended. It is empty afterwards.

    Returns:
        Why it ended. Interrupting the cell is one of the ways to end it, and raises nothing.
    """
    pump = CommPump(kernel())
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    with interruptions() if came is None else contextlib.nullcontext(came) as interrupted:
        try:
            while turn():
                if interrupted:
                    interrupted.clear()
                    return "interrupted"
                if time.monotonic() >= deadline:
                    return "over"
                await pump.turn()
                await asyncio.sleep(POLL_SECONDS)
            return "done"
        finally:
            pump.close()


@contextlib.contextmanager
def interruptions() -> Iterator[list[int]]:
    """The interruptions within the block; they do nothing else. A kernel would cancel the cell, but once only."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield came
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def let_cells_run_loops() -> None:
    """Let a cell call ``asyncio.run`` on the client's coroutines while the kernel's loop runs; not needed here.

    In a kernel of ipykernel 7 nest-asyncio makes cells that are queued behind such a cell disappear; there a cell
    writes ``await`` in place of ``asyncio.run``, which works in all of them.
    """
    if not hasattr(kernel(), "msg_queue"):
        return
    import nest_asyncio

    with contextlib.suppress(ValueError):  # the kernel's loop is uvloop, which cannot be patched
        nest_asyncio.apply()


class CommPump:
    """Lets a kernel of ipykernel 6 answer its front end during a cell.

    Args:
        kernel: of the running cell; with None, or a kernel of ipykernel 7, there is nothing to do.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel: Any = kernel if hasattr(kernel, "msg_queue") else None
        self._put_aside: list[Any] = []
        if self._kernel is not None:
            self._cell = (kernel._parent_ident.get("shell"), kernel.get_parent("shell"))

    async def turn(self) -> None:
        """Answer what has come and runs no cell."""
        while self._kernel is not None and not self._kernel.msg_queue.empty():
            item = self._kernel.msg_queue.get_nowait()
            if self._type(item) in ANSWERED:
                await self._answer(item)
            else:
                self._put_aside.append(item)

    def close(self) -> None:
        """Give the cells that were put aside back to the kernel, before whatever came after them."""
        if self._kernel is None:
            return
        queue = self._kernel.msg_queue
        while not queue.empty():
            self._put_aside.append(queue.get_nowait())
        for item in self._put_aside:
            queue.put_nowait(item)
        self._put_aside.clear()

    def _type(self, item: Any) -> str:
        """The type of a message in the kernel's queue; "" for anything else in it."""
        _, dispatch, arguments = item
        if dispatch != self._kernel.dispatch_shell:
            return ""
        with contextlib.suppress(Exception):  # one that cannot be read is the kernel's to complain of
            session = self._kernel.session
            _, parts = session.feed_identities(arguments[0], copy=False)
            return str(session.deserialize(parts, content=False, copy=False)["header"]["msg_type"])
        return ""

    async def _answer(self, item: Any) -> None:
        """Let the kernel answer; what the cell shows from then on is the cell's again."""
        _, dispatch, arguments = item
        handler = self._kernel.saved_sigint_handler
        try:
            await dispatch(*arguments)
        finally:
            self._kernel.saved_sigint_handler = handler
            self._kernel.set_parent(*self._cell)
            self._kernel._publish_status("busy", "shell")  # its answer was told as "idle"
