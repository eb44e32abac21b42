"""Which sessions run in the other processes that share a folder, for lists and dashboards.

Each process says so itself once a second, in ``holders/ID.sessions`` beside the file by which it says that it lives. So
a list of all needs no journal and asks nobody: it is there as well where a process hangs, or has died a moment ago.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from openmic.errors import OpenmicError
from openmic.sessions.snapshot import SessionSnapshot
from openmic.sessions.state import State
from openmic.sessions.storage.folder import Household
from openmic.sessions.storage.holder import HOLDER_NAME, HOLDERS, RUNNING
from openmic.sessions.storage.lease import newest_lease
from openmic.sessions.storage.other_holders import Life
from openmic.sessions.storage.replay import error_fields, to_error

REPORT_SECONDS = 1.0  # between two reports of a process
ENDED_SECONDS = 15.0  # how long one that has ended is reported: longer than others take to find it in the folder
MOST_CHARACTERS = 400  # of each text, its end
READ_WRITE_OWNER = 0o600


@dataclass(frozen=True, slots=True)
class _Report:
    """A session as a process has reported it, which may hold it no more."""

    holder_id: str
    at: float
    snapshot: SessionSnapshot


class Elsewhere:
    """Says what this process has, and reads what the others have reported.

    Args:
        data_dir: that they share.
        household: this process and the others.
    """

    def __init__(self, data_dir: Path, household: Household) -> None:
        self._data_dir = data_dir
        self._household = household
        self._path = data_dir / HOLDERS / (household.holder.id + RUNNING)
        self._reported: list[str] = []
        self._report_at = 0.0

    def tell(self, sessions: Iterable[tuple[SessionSnapshot, float | None]]) -> None:
        """Say what this process has, if it is time for it; nothing is written where there is nothing to tell.

        Args:
            sessions: all that it has, and since when each has ended (monotonic; None: it has not).

        Raises:
            OSError: the folder cannot be written.
        """
        now = time.monotonic()
        if now < self._report_at or not self._household.holder.begun:
            return
        self._report_at = now + REPORT_SECONDS
        listed = [
            _fields(snapshot) for snapshot, ended_at in sessions if ended_at is None or now - ended_at < ENDED_SECONDS
        ]
        names = [one["id"] for one in listed]
        if not names and not self._reported:
            return
        self._reported = names
        made = self._path.with_suffix(".new")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, READ_WRITE_OWNER), "w") as file:
            json.dump({"name": self._household.holder.name, "at": time.time(), "sessions": listed}, file)
        made.replace(self._path)

    def read(self, here: Collection[str]) -> list[SessionSnapshot]:
        """What the others have, each with the name of its holder, and whether that has been silent for too long.

        Args:
            here: names of the sessions that this process has; they are left out.
        """
        reports: dict[str, list[_Report]] = {}
        lives: dict[str, Life] = {}
        for holder_id, name, at, sessions in self._files():
            lives[holder_id] = self._household.others.life(holder_id)
            for snapshot in sessions:
                if snapshot.id not in here:
                    held = replace(snapshot, holder=name, holder_silent=lives[holder_id] is not Life.ALIVE)
                    reports.setdefault(snapshot.id, []).append(_Report(holder_id, at, held))
        return [
            found for name, entries in reports.items() if (found := self._current(name, entries, lives)) is not None
        ]

    def _current(self, session_id: str, entries: list[_Report], lives: dict[str, Life]) -> SessionSnapshot | None:
        """The report of a session that counts, of several or of a process that may not live; None: it is over."""
        (first, *others) = entries
        if not others and lives[first.holder_id] is Life.ALIVE and first.snapshot.state is not State.ENDED:
            return first.snapshot
        lease = newest_lease(self._data_dir / session_id)
        if lease is None:  # it was deleted
            return None
        holders = [entry.snapshot for entry in entries if entry.holder_id == lease.holder_id]
        if holders:
            return holders[0]
        if lease.released or lease.holder_id == self._household.holder.id:
            return None
        latest = max(entries, key=lambda entry: entry.at).snapshot  # its new holder has not reported it yet
        return replace(latest, holder=self._household.others.name(lease.holder_id), holder_silent=False)

    def _files(self) -> Iterable[tuple[str, str, float, list[SessionSnapshot]]]:
        """Of each other process its id and name, when it reported, and its sessions."""
        for path in sorted((self._data_dir / HOLDERS).glob("*" + RUNNING)):
            holder_id = path.name.removesuffix(RUNNING)
            if holder_id == self._household.holder.id or not HOLDER_NAME.fullmatch(holder_id):
                continue
            # It ended just now, or is of another version.
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
                said = json.loads(path.read_bytes())
                yield holder_id, str(said["name"]), float(said["at"]), [_snapshot(one) for one in said["sessions"]]


def _fields(snapshot: SessionSnapshot) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "state": snapshot.state.value,
        "attached": snapshot.attached,
        "created": snapshot.created,
        "received_bytes": snapshot.received_bytes,
        "audio_seconds": snapshot.audio_seconds,
        "lag": snapshot.lag,
        "committed_text": snapshot.committed_text[-MOST_CHARACTERS:],
        "live_text": snapshot.live_text[-MOST_CHARACTERS:],
        "reason": snapshot.reason,
        "error": error_fields(snapshot.error),
    }


def _snapshot(fields: dict[str, Any]) -> SessionSnapshot:
    error: OpenmicError | None = to_error(fields["error"])
    return SessionSnapshot(**{**fields, "state": State(fields["state"]), "error": error}, final=None, revised=())
