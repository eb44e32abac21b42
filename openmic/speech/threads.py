"""Do work in a thread that ends with it, so that its OpenMP threads end too.

GNU's OpenMP keeps the helpers of each thread that ever shared out work for as long as that thread lives. Where they are
more than the processor has cores, all of them fall asleep at once when they wait (``GOMP_SPINCOUNT`` does not count
then), and every product of a decoder's pass waits until they have woken up. So a model that one thread has loaded and
tried out is slow in another, until the first has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

from openmic.progress import ProgressCallback

T = TypeVar("T")


def run_in_own_thread(work: Callable[[ProgressCallback], T], progress: ProgressCallback) -> T:
    """Do ``work`` in a thread of its own and wait for it; what it raises is raised here.

    Args:
        work: given a callback for its progress.
        progress: told of it, in the caller's thread.
    """
    progress_queue: SimpleQueue[tuple[str, float | None] | None] = SimpleQueue()
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work(lambda what, fraction: progress_queue.put((what, fraction))))
        except BaseException as error:
            done.set_exception(error)
        finally:
            progress_queue.put(None)

    thread = threading.Thread(target=run, name="openmic-loading", daemon=True)
    thread.start()
    while (news := progress_queue.get()) is not None:
        progress(*news)
    thread.join()
    return done.result()
