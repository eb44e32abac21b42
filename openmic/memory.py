"""Memory that was freed goes back to the machine.

glibc's allocator keeps what was freed for the next time. Sessions that come and go, each with buffers of megabytes,
leave holes in its arenas: with four speakers as much as is in use, about 1 GB after ten minutes (docs/reliability.md).
``malloc_trim`` (malloc_trim(3) in the Linux manual) gives the whole pages of all holes back, in every arena.
"""

from __future__ import annotations

import ctypes
from functools import cache


def release_freed_memory() -> bool:
    """Give freed memory back to the machine; False where the C library cannot (it is not glibc). From any thread.

    Other threads' allocations wait for it, an arena at a time; what is given back costs them page faults when they need
    it again. So call it when much has ended, not often.
    """
    library = _glibc()
    if library is None:
        return False
    library.malloc_trim(ctypes.c_size_t(0))
    return True


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return library if hasattr(library, "malloc_trim") else None
