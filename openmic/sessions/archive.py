"""The folder of recordings as its owner sees it, whether or not servers are at work in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from openmic.audio.decoder_processes import DecoderProcesses
from openmic.errors import OpenmicError
from openmic.sessions.ended import EndedSession
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.recovery import is_over, session_folders
from openmic.sessions.snapshot import SessionSnapshot
from openmic.sessions.state import State
from openmic.sessions.storage.folder import JOURNAL, RECORDING, SessionFiles, holding, is_in_use
from openmic.sessions.storage.journal import InUse, Journal
from openmic.sessions.storage.record_file import Ending
from openmic.sessions.storage.recording import DiskRecording
from openmic.sessions.storage.replay import JournalReplay, read_story_at, to_error
from openmic.sessions.transcript import Transcript
from openmic.speech.types import CommittedText

Status = Literal["running", "unfinished", "ended", "failed", "unreadable"]
SHORT_NAME = 8  # digits of a name that a person is shown


@dataclass(frozen=True, slots=True)
class StoredSession:
    """One recording.

    Attributes:
        folder: where it lies.
        standing: ``running``: a server works on it; ``unfinished``: its server died; ``ended``: it has its final text;
            ``failed``: it ended with an error; ``unreadable``: nobody knows.
        story: what its journal tells; None where it is unreadable.
        disk_bytes: what it takes on the disk.
    """

    folder: Path
    standing: Status
    story: JournalReplay | None
    disk_bytes: int

    @property
    def id(self) -> str:
        """The session's name."""
        return self.folder.name

    @property
    def short(self) -> str:
        """Enough of the name for a person."""
        return self.id[:SHORT_NAME]

    @property
    def damaged(self) -> bool:
        """Whether a part of its journal cannot be read."""
        return self.story is None or self.story.ending is Ending.DAMAGED

    def readable(self) -> JournalReplay:
        """Its story.

        Raises:
            OpenmicError: ``journal_unreadable``.
        """
        return self.story if self.story is not None else read_story_at(self.folder / JOURNAL)

    def snapshot(self) -> SessionSnapshot:
        """The session as its journal has it; its length is that of what was decoded so far.

        Raises:
            OpenmicError: ``journal_unreadable``.
        """
        story = self.readable()
        if is_over(story):
            return EndedSession(self.folder, story).snapshot()
        transcript = Transcript()
        transcript.remember(story.counted)
        return SessionSnapshot(
            id=self.id,
            state=State.RECEIVING if story.stopped is None else State.FINISHING,
            attached=False,
            created=story.opened.created,
            received_bytes=story.received_bytes,
            audio_seconds=DiskRecording.stored(self.folder / RECORDING).seconds,
            lag=0.0,
            committed_text=transcript.committed_text,
            live_text="",
            final=transcript.final,
            revised=transcript.revised,
            reason=story.stopped.reason if story.stopped is not None else None,
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
        story = self.readable()
        if story.compact:
            recording = DiskRecording.stored(self.folder / RECORDING)
            error = to_error(story.over.error) if story.over is not None else None
            if len(recording) == 0 and error is not None:
                raise error
            yield recording
            return
        with tempfile.TemporaryDirectory(prefix="openmic-") as folder:
            recording = DiskRecording(Path(folder) / RECORDING)
            journal = Journal.look_into(self.folder / JOURNAL)
            decoders = DecoderProcesses()
            try:
                for samples in decoders.decode(journal.reader(), story.opened.audio_format):
                    recording.append(samples)
            except OpenmicError:
                if len(recording) == 0:
                    raise
            finally:
                decoders.close()
                journal.close()
                recording.complete()
            yield recording

    def take(self) -> tuple[SessionFiles, JournalReplay]:
        """Take it up, to work on it.

        Raises:
            OpenmicError: ``recording_in_use``, ``journal_unreadable``, ``disk_full``.
        """
        try:
            return SessionFiles.reopen(self.folder)
        except InUse as error:
            raise PROBLEMS.error("recording_in_use", name=self.short) from error

    def delete(self) -> None:
        """Delete it for good.

        Raises:
            OpenmicError: ``recording_in_use``.
        """
        try:
            with holding(self.folder):
                shutil.rmtree(self.folder, ignore_errors=True)
        except InUse as error:
            raise PROBLEMS.error("recording_in_use", name=self.short) from error


class Archive:
    """All recordings in ``data_dir``."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def entries(self) -> list[StoredSession]:
        """All of them, the oldest first; those that cannot be read last."""
        entries = [_entry(folder) for folder in session_folders(self.data_dir)]
        return sorted(entries, key=lambda one: (one.story is None, one.story.opened.created if one.story else 0.0))

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
        return _entry(found[0])


def _entry(folder: Path) -> StoredSession:
    in_use = is_in_use(folder)
    try:
        story = read_story_at(folder / JOURNAL)
    except OpenmicError:
        return StoredSession(folder, "unreadable", None, _disk_bytes(folder))
    standing: Status
    if is_over(story):
        standing = "ended" if story.over is not None and story.over.error is None else "failed"
    else:
        standing = "running" if in_use else "unfinished"
    return StoredSession(folder, standing, story, _disk_bytes(folder))


def _disk_bytes(folder: Path) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            total += entry.stat(follow_symlinks=False).st_size
    return total
