"""What servers that have gone left in the folder of recordings: taken up, kept, or deleted when its time is over."""

from __future__ import annotations

import hmac
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.ownership import is_ours
from openmic.sessions.ended import EndedSession
from openmic.sessions.session import Session
from openmic.sessions.storage.folder import JOURNAL, MAKING, SessionFiles, is_in_use
from openmic.sessions.storage.journal import InUse
from openmic.sessions.storage.replay import JournalReplay, read_story_at

logger = logging.getLogger(__name__)

ID_DIGITS = 32
SESSION_NAME = re.compile(f"[0-9a-f]{{{ID_DIGITS}}}")
MOST_RECOVERIES = 3  # of a session that nobody added to, without its client: it may be what the servers died of
STALE_SECONDS = 600.0  # after which a folder that was never finished making has no maker any more

TakeUp = Callable[[Path, SessionFiles, JournalReplay], Session]
"""Makes a running session of an unfinished one."""


def session_folders(data_dir: Path) -> Iterator[Path]:
    """All folders of sessions, by name; what others have put there is none."""
    if data_dir.is_dir():
        yield from sorted(path for path in data_dir.iterdir() if SESSION_NAME.fullmatch(path.name) and is_ours(path))


def is_over(story: JournalReplay) -> bool:
    """Whether a session has ended; one whose audio was dropped has, whatever else its journal says."""
    return story.over is not None or story.compact


class Recovery:
    """Looks through ``data_dir``.

    Args:
        data_dir: where sessions' folders are.
        keep_seconds: how long ended sessions are kept.
        unreadable_seconds: how long a folder is kept that nobody can read.
        take_up: called with each unfinished session that nobody works on.
    """

    def __init__(self, data_dir: Path, keep_seconds: float, unreadable_seconds: float, take_up: TakeUp) -> None:
        self._data_dir = data_dir
        self._keep_seconds = keep_seconds
        self._unreadable_seconds = unreadable_seconds
        self._take_up = take_up
        self._left_alone: set[str] = set()
        self._awaited: set[str] = set()  # left alone, too, until their client comes

    def look(self, known: Callable[[str], bool]) -> list[Session]:
        """Sessions that are not ``known`` yet and in nobody's hands: unfinished ones, running again, and ended ones."""
        self._tidy()
        found = []
        for folder in session_folders(self._data_dir):
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
        """Take up a session that was left alone for its many recoveries, now that its client has come."""
        folder = self._data_dir / session_id
        if session_id not in self._awaited or not (folder / JOURNAL).exists():
            return None
        story = read_story_at(folder / JOURNAL)
        if not hmac.compare_digest(story.opened.token_hash, token_hash):
            return None
        try:
            session = self._take_up(folder, *SessionFiles.reopen(folder))
        except InUse:
            return None
        self._awaited.discard(session_id)
        return session

    def _find(self, folder: Path) -> Session | None:
        if is_in_use(folder):
            return None
        try:
            story = read_story_at(folder / JOURNAL)
        except OpenmicError:
            if _age(folder) >= self._unreadable_seconds:
                shutil.rmtree(folder, ignore_errors=True)
                return None
            raise
        if is_over(story):
            session = EndedSession(folder, story)
            if session.ended_at is not None and time.monotonic() - session.ended_at >= self._keep_seconds:
                session.delete()
                log_event(logger, "session_deleted", session=session.id)
                return None
            return session
        if story.recovered >= MOST_RECOVERIES:
            times = story.recovered
            log_event(
                logger, "session_left_alone", logging.WARNING, session=folder.name, code="taken_up_often", times=times
            )
            self._awaited.add(folder.name)
            return None
        files, story = SessionFiles.reopen(folder)
        return self._take_up(folder, files, story)

    def _tidy(self) -> None:
        """Remove folders whose maker died before they had a name, and nothing was promised yet."""
        if self._data_dir.is_dir():
            for folder in self._data_dir.glob(MAKING + "*"):
                if SESSION_NAME.fullmatch(folder.name.removeprefix(MAKING)) and _age(folder) >= STALE_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)


def _age(folder: Path) -> float:
    """Seconds since anything in the folder changed; 0 where it has just gone."""
    try:
        newest = max(entry.stat().st_mtime for entry in (folder, *folder.iterdir()))
    except OSError:
        return 0.0
    return time.time() - newest
