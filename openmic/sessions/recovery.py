"""What other processes left in the folder of recordings, or hold there: taken up, shown, kept, or deleted in time."""

from __future__ import annotations

import hmac
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.ownership import is_ours
from openmic.sessions.ended import EndedSession
from openmic.sessions.on_disk import SessionElsewhere
from openmic.sessions.problems import SessionHeld
from openmic.sessions.session import Session
from openmic.sessions.storage.folder import AlreadyOver, Household, SessionFiles, check_free
from openmic.sessions.storage.folder_clock import age_seconds
from openmic.sessions.storage.journal import InUse
from openmic.sessions.storage.lease import HeldElsewhere
from openmic.sessions.storage.names import GOING, MAKING, journal_path, remove_folder
from openmic.sessions.storage.replay import JournalReplay, read_opened_at, read_replay_at

logger = logging.getLogger(__name__)

ID_DIGITS = 32
SESSION_NAME = re.compile(f"[0-9a-f]{{{ID_DIGITS}}}")
MOST_RECOVERIES = 3  # of a session that nobody added to, without its client: it may be what the servers died of
STALE_SECONDS = 600.0  # after which a folder that was never finished making has no maker any more

TakeUp = Callable[[SessionFiles, JournalReplay], Session]
"""Makes a running session of an unfinished one."""


def session_folders(data_dir: Path) -> Iterator[Path]:
    """All folders of sessions, by name; what others have put there is none."""
    if data_dir.is_dir():
        yield from sorted(path for path in data_dir.iterdir() if SESSION_NAME.fullmatch(path.name) and is_ours(path))


class Recovery:
    """Looks through ``data_dir``.

    Args:
        data_dir: where sessions' folders are.
        household: this process and those that share the folder.
        keep_seconds: how long ended sessions are kept.
        unreadable_seconds: how long a folder is kept that nobody can read.
        take_up: called with each unfinished session that nobody works on.
    """

    def __init__(
        self, data_dir: Path, household: Household, keep_seconds: float, unreadable_seconds: float, take_up: TakeUp
    ) -> None:
        self._data_dir = data_dir
        self._household = household
        self._keep_seconds = keep_seconds
        self._unreadable_seconds = unreadable_seconds
        self._take_up = take_up
        self._random = Random()  # not Python's own, which a notebook may have seeded, and relies on
        self._left_alone: set[str] = set()
        self._awaited: set[str] = set()  # left alone, too, until their client comes

    def look(self, known: Callable[[str], bool]) -> list[Session]:
        """Sessions that are not ``known`` yet and in nobody's hands: unfinished ones, running again, and ended ones."""
        self._tidy()
        found = []
        folders = [*session_folders(self._data_dir)]
        self._random.shuffle(folders)  # of several processes that look at once, each gets some
        for folder in folders:
            if known(folder.name) or folder.name in self._awaited:
                continue
            try:
                session = self._find(folder)
            except InUse:
                continue
            except (OpenmicError, OSError) as error:
                if folder.name not in self._left_alone:
                    self._left_alone.add(folder.name)
                    code = error.code if isinstance(error, OpenmicError) else type(error).__name__
                    log_event(logger, "session_left_alone", logging.WARNING, session=folder.name, code=code)
                continue
            if session is not None:
                found.append(session)
        return found

    def fetch(self, session_id: str, token_hash: str) -> Session | None:
        """Take up a session whose client has come for it here, or what has become of it; None: there is none such.

        Raises:
            SessionHeld: another process holds it, and has been asked to let go; try again in a moment.
            OpenmicError: ``journal_unreadable``, ``disk_full``, or what the engine refuses.
        """
        folder = self._folder(session_id, token_hash)
        if folder is None:
            return None
        try:
            check_free(folder, self._household.others)
            replay = read_replay_at(journal_path(folder))
            if replay.is_over:
                return EndedSession(folder, replay)
            session = self._take_up(*SessionFiles.take_over(folder, self._household))
        except HeldElsewhere as held:
            raise self._held(session_id, held.holder_id) from held
        except (InUse, AlreadyOver) as busy:
            raise self._held(session_id, "") from busy
        self._awaited.discard(session_id)
        return session

    def show(self, session_id: str, token_hash: str | None = None) -> Session | None:
        """A session as its folder has it, whichever process holds it; None: there is none such.

        Args:
            session_id: its name.
            token_hash: of the resume token that it must have; None: any.

        Raises:
            OpenmicError: ``journal_unreadable``.
        """
        folder = self._folder(session_id, token_hash)
        if folder is None:
            return None
        replay = read_replay_at(journal_path(folder))
        return EndedSession(folder, replay) if replay.is_over else SessionElsewhere(folder, replay)

    def _folder(self, session_id: str, token_hash: str | None) -> Path | None:
        folder = self._data_dir / session_id
        if not SESSION_NAME.fullmatch(session_id) or not is_ours(folder):
            return None
        if token_hash is not None:
            try:
                expected = read_opened_at(journal_path(folder)).token_hash
            except OpenmicError:
                return None
            if not hmac.compare_digest(expected, token_hash):
                return None
        return folder

    def _held(self, session_id: str, holder_id: str) -> SessionHeld:
        """Ask the process that holds a session to let go of it."""
        holder = self._household.holder
        if holder_id and holder_id != holder.id:
            try:
                holder.ask(holder_id, session_id)
            except OSError:  # it has just gone, or the disk is full: then its lease must run out
                log_event(logger, "session_not_asked_for", logging.WARNING, session=session_id, holder=holder_id)
        return SessionHeld(self._household.others.name(holder_id))

    def _find(self, folder: Path) -> Session | None:
        check_free(folder, self._household.others)
        try:
            replay = read_replay_at(journal_path(folder))
        except OpenmicError:
            if _age(folder) >= self._unreadable_seconds:
                remove_folder(folder)
                return None
            raise
        if replay.is_over:
            session = EndedSession(folder, replay)
            if session.ended_at is not None and time.monotonic() - session.ended_at >= self._keep_seconds:
                session.delete()
                log_event(logger, "session_deleted", session=session.id)
                return None
            return session
        if replay.recovered >= MOST_RECOVERIES:
            times = replay.recovered
            log_event(
                logger, "session_left_alone", logging.WARNING, session=folder.name, code="taken_up_often", times=times
            )
            self._awaited.add(folder.name)
            return None
        try:
            return self._take_up(*SessionFiles.take_over(folder, self._household))
        except AlreadyOver:
            return None  # the next look finds it ended

    def _tidy(self) -> None:
        """Remove folders whose maker died before they had a name, and those that were being deleted."""
        if not self._data_dir.is_dir():
            return
        for folder in self._data_dir.glob(MAKING + "*"):
            if SESSION_NAME.fullmatch(folder.name.removeprefix(MAKING)) and _age(folder) >= STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self._data_dir.glob(GOING + "*"):
            if SESSION_NAME.fullmatch(folder.name.removeprefix(GOING)):
                shutil.rmtree(folder, ignore_errors=True)


def _age(folder: Path) -> float:
    """Seconds since anything in the folder changed; 0 where it has just gone."""
    try:
        return age_seconds(folder, *folder.iterdir(), folder=folder.parent)
    except OSError:
        return 0.0
