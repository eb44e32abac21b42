"""Processes that take a session over and are killed (``kill -9``) behind a number of their calls to the system.

``python -m tests.support.dying_takeover`` reads lines ``DATA_DIR SESSION CALLS`` and forks for each; it answers with
``acknowledged`` or ``not``, for what a client would have been told, and ``died`` or ``ended``. The leases of all others
have run out by their clocks.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openmic.sessions.storage.folder import Household, SessionFiles, is_held
from openmic.sessions.storage.holder import Holder
from openmic.sessions.storage.other_holders import OtherHolders
from openmic.sessions.storage.record_file import Kind

CALLS = ("open", "close", "pwrite", "rename", "unlink", "fsync", "ftruncate", "listdir", "mkdir", "replace", "chmod")
PIECE = bytes([10]) * 3200


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        data_dir, session_id, calls = line.split()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            take_over(Path(data_dir), session_id, int(calls), writing)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as told:
            said = told.read()
        _, status = os.waitpid(child, 0)
        print(said or "not", "died" if os.WIFSIGNALED(status) else "ended", flush=True)


def take_over(data_dir: Path, session_id: str, calls: int, told: int) -> None:
    """Take over, say so, and end; or die on the way."""
    now = [0.0]
    holder = Holder(data_dir, 1.0, clock=lambda: now[0])
    household = Household(holder, OtherHolders(data_dir, 1.0, lambda: now[0]))
    is_held(data_dir / session_id, household.others)
    now[0] += 1000
    holder.beat()
    die_behind(calls)
    files, _ = SessionFiles.take_over(data_dir / session_id, household)
    files.journal.record(Kind.RECOVERED, files.takeover)
    files.journal.append(PIECE)
    os.write(told, b"acknowledged")


def die_behind(calls: int) -> None:
    """Have this process killed behind so many calls from now on."""
    left = [calls]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any, **named: Any) -> Any:
            result = call(*arguments, **named)
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return do

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


if __name__ == "__main__":
    main()
