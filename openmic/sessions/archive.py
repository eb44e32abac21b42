"""The folder of recordings as its owner sees it, whether or not servers are at work in it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from openmic.audio.decoder_processes import DecoderProcesses
from openmic.errors import OpenmicError
from openmic.sessions.ended import EndedSession
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.recovery import session_folders
from openmic.sessions.snapshot import SessionSnapshot
from openmic.sessions.state import State
from openmic.sessions.storage.folder import Household, SessionFiles, check_free, is_held
from openmic.sessions.storage.holder import Holder
from openmic.sessions.storage.journal import InUse, Journal
from openmic.sessions.storage.lease import newest_lease
from openmic.sessions.storage.names import RECORDING, journal_path, recording_path, remove_folder
from openmic.sessions.storage.other_holders import OtherHolders
from openmic.sessions.storage.record_file import Ending
from openmic.sessions.storage.recording import DiskRecording
from openmic.sessions.storage.replay import JournalReplay, read_replay_at, to_error
from openmic.sessions.transcript import Transcript
from openmic.speech.types import CommittedText

Status = Literal["running", "unfinished", "ended", "failed", "unreadable"]
LEASE_SECONDS = 10.0  # the setting's default
WATCH_SECONDS = 0.1  # between two looks at a process that may have died
SHORT_NAME = 8  # digits of a name that a person is shown


@dataclass(frozen=True, slots=True)
class StoredSession:
    """One recording.

    Attributes:
        folder: where it lies.
        standing: ``running``: a server works on it; ``unfinished``: its server died; ``ended``: it has its final text;
            ``failed``: it ended with an error; ``unreadable``: nobody knows.
        replay: what its journal holds; None where it is unreadable.
        disk_bytes: what it takes on the disk.
        others: the processes that may work on it.
    """

    folder: Path
    standing: Status
    replay: JournalReplay | None
    disk_bytes: int
    others: OtherHolders

    @property
    def id(self) -> str:
        """The session's name."""
        return self.folder.name

    @property
    def short(self) -> str:
        """Enough of the name for a person."""
        return self.id[:SHORT_NAME]

    @property
    def holder_name(self) -> str:
        """What people call the process that has it, or had it last; "" where that is not known."""
        newest = newest_lease(self.folder)
        return self.others.name(newest.holder_id) if newest is not None else ""

    @property
    def damaged(self) -> bool:
        """Whether a part of its journal cannot be read."""
        return self.replay is None or self.replay.ending is Ending.DAMAGED

    def readable(self) -> JournalReplay:
        """What its journal holds.

        Raises:
            OpenmicError: ``journal_unreadable``.
        """
        return self.replay if self.replay is not None else read_replay_at(journal_path(self.folder))

    def snapshot(self) -> SessionSnapshot:
        """The session as its journal has it; its length is that of what was decoded so far.

        Raises:
            OpenmicError: ``journal_unreadable``.
        """
        replay = self.readable()
        if replay.is_over:
            return EndedSession(self.folder, replay).snapshot()
        transcript = Transcript()
        transcript.remember(replay.counted)
        return SessionSnapshot(
            id=self.id,
            state=State.RECEIVING if replay.stopped is None else State.FINISHING,
            attached=False,
            created=replay.opened.created,
            received_bytes=replay.received_bytes,
            audio_seconds=DiskRecording.stored(recording_path(self.folder)).seconds,
            lag=0.0,
            committed_text=transcript.committed_text,
            live_text="",
            final=transcript.final,
            revised=transcript.revised,
            reason=replay.stopped.reason if replay.stopped is not None else None,
            error=None,
        )

    def commits(self) -> list[CommittedText]:
        """What was promised, in order.

        Raises:
            OpenmicError: ``journal_unreadable``.
        """
        transcript = Transcript()
        transcript.remember(self.readable().counted)
        return transcript.commits

    @contextmanager
    def sound(self) -> Iterator[DiskRecording]:
        """All its sound so far; of a session that has not ended, decoded from its journal for the time being.

        Raises:
            OpenmicError: ``journal_unreadable``, or what the decoder says of bytes that are no sound.
        """
        replay = self.readable()
        journal: Journal | None = None
        if not replay.compact:
            journal = Journal.look_into(journal_path(self.folder))
            replay = read_replay_at(journal_path(self.folder))  # its server may just have made it compact
        if replay.compact or journal is None:
            if journal is not None:
                journal.close()
            recording = DiskRecording.stored(recording_path(self.folder))
            error = to_error(replay.over.error) if replay.over is not None else None
            if len(recording) == 0 and error is not None:
                raise error
            yield recording
            return
        with tempfile.TemporaryDirectory(prefix="openmic-") as folder:
            recording = DiskRecording(Path(folder) / RECORDING)
            decoders = DecoderProcesses()
            try:
                for samples in decoders.decode(journal.reader(), replay.opened.audio_format):
                    recording.append(samples)
            except OpenmicError:
                if len(recording) == 0:
                    raise
            finally:
                decoders.close()
                journal.close()
                recording.complete()
            yield recording

    def take(self, holder: Holder) -> tuple[SessionFiles, JournalReplay]:
        """Take it up, to work on it.

        Args:
            holder: this process; it must be kept alive (``LeaseThread``).

        Raises:
            OpenmicError: ``recording_in_use``, ``journal_unreadable``, ``disk_full``.
        """
        try:
            return SessionFiles.take_over(self.folder, Household(holder, self.others), finished_too=True)
        except InUse as error:
            raise PROBLEMS.error("recording_in_use", name=self.short) from error

    def delete(self) -> None:
        """Delete it for good.

        Raises:
            OpenmicError: ``recording_in_use``.
        """
        try:
            check_free(self.folder, self.others)
            remove_folder(self.folder)
        except InUse as error:
            raise PROBLEMS.error("recording_in_use", name=self.short) from error


class Archive:
    """All recordings in ``data_dir``.

    Args:
        data_dir: where they are.
        lease_seconds: how long a process may be silent of which nothing says for how long it may.
    """

    def __init__(self, data_dir: Path, lease_seconds: float = LEASE_SECONDS) -> None:
        self.data_dir = data_dir
        self._others = OtherHolders(data_dir, lease_seconds)

    def entries(self) -> list[StoredSession]:
        """All of them, the oldest first; those that cannot be read last."""
        folders = [*session_folders(self.data_dir)]
        self._wait_to_know(folders)
        entries = [_entry(folder, self._others) for folder in folders]
        return sorted(entries, key=lambda one: (one.replay is None, one.replay.opened.created if one.replay else 0.0))

    def find(self, name: str) -> StoredSession:
        """The one whose name begins with ``name``.

        Raises:
            OpenmicError: ``no_such_recording``, ``recording_not_clear``.
        """
        found = [folder for folder in session_folders(self.data_dir) if name and folder.name.startswith(name.lower())]
        if not found:
            raise PROBLEMS.error("no_such_recording", name=name, data_dir=self.data_dir)
        if len(found) > 1:
            raise PROBLEMS.error("recording_not_clear", name=name, count=len(found))
        self._wait_to_know(found)
        return _entry(found[0], self._others)

    def _wait_to_know(self, folders: Sequence[Path]) -> None:
        """Wait until it is known which holders live: no longer than a lease, and not at all on one machine."""
        leases = [lease for folder in folders if (lease := newest_lease(folder)) is not None]
        open_leases = {lease.holder_id for lease in leases if not lease.released}
        while not all(self._others.knows(holder_id) for holder_id in open_leases):
            time.sleep(WATCH_SECONDS)


def _entry(folder: Path, others: OtherHolders) -> StoredSession:
    in_use = is_held(folder, others)
    try:
        replay = read_replay_at(journal_path(folder))
    except OpenmicError:
        return StoredSession(folder, "unreadable", None, _disk_bytes(folder), others)
    standing: Status
    if replay.is_over:
        standing = "ended" if replay.over is not None and replay.over.error is None else "failed"
    else:
        standing = "running" if in_use else "unfinished"
    return StoredSession(folder, standing, replay, _disk_bytes(folder), others)


def _disk_bytes(folder: Path) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            total += entry.stat(follow_symlinks=False).st_size
    return total
