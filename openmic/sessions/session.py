"""A session as others see it, whether it runs or has ended: what it has told, and what can be asked of it."""

from __future__ import annotations

import contextlib
import threading
import time
from abc import ABC, abstractmethod

from openmic.errors import OpenmicError
from openmic.sessions.activity import Activity
from openmic.sessions.events import Failed, Reason, Replaced, SessionEvent, Subscriber, Warned
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.snapshot import SessionSnapshot
from openmic.sessions.state import State
from openmic.sessions.storage.recording import DiskRecording
from openmic.sessions.storage.replay import JournalReplay
from openmic.sessions.transcript import Transcript
from openmic.speech.types import CommittedText, Term


class Session(ABC):
    """One stream; all methods may be called from any thread.

    It is a ``RunningSession`` or, once another server has ended it, an ``EndedSession``.

    Args:
        replay: what its journal holds.
        recording: what was heard.

    Attributes:
        resume_token: for a client that comes back; "" until it shows the token where only its hash is known.
        token_id: of the token that it was begun with; "" where nobody knows any more.
        activity: whether anything comes in.
        words: whether its client asked for word times.
        created: seconds since 1970.
        resumes: whether its client can come back on another connection, and so in another process.
        moved: another process goes on with it, so that this object has ended.
        ended: set once it has ended.
        ended_at, detached_at: since when it has, and since when nobody is attached; monotonic seconds, None: not so.
    """

    def __init__(self, replay: JournalReplay, recording: DiskRecording) -> None:
        opened = replay.opened
        self.id = opened.id
        self.resume_token = ""
        self.token_id = ""
        self.activity = Activity()
        self.token_hash = opened.token_hash
        self.options = opened.options
        self.words = opened.words
        self.created = opened.created
        self.recording = recording
        self.resumes = True
        self.moved = False
        self.ended = threading.Event()
        self.ended_at: float | None = None
        self.detached_at: float | None = time.monotonic()
        self._lock = threading.RLock()
        self._state = State.RECEIVING
        self._reason: Reason | None = None
        self._error: OpenmicError | None = None
        self._transcript = Transcript()
        self._transcript.remember(replay.counted)
        self._subscriber: Subscriber | None = None
        self._unused = ""  # of the prompt and the vocabulary

    @property
    def state(self) -> State:
        """Where this session stands."""
        return self._state

    @property
    def reason(self) -> Reason | None:
        """Why it takes no more audio; None while it does."""
        return self._reason

    # --- what a client does

    @property
    @abstractmethod
    def received_bytes(self) -> int:
        """How many bytes are in the journal."""

    @property
    @abstractmethod
    def backlog_bytes(self) -> int:
        """How many of them wait to be decoded."""

    @abstractmethod
    def write(self, data: bytes) -> int:
        """Journal a client's next bytes; returns how many are there in all, safe on disk.

        Raises:
            OpenmicError: ``already_stopped``: this session is not RECEIVING.
        """

    @abstractmethod
    def flush(self) -> None:
        """Treat what was received so far as an ended utterance, as soon as it is decoded.

        Raises:
            OpenmicError: ``already_stopped``: this session is not RECEIVING.
        """

    @abstractmethod
    def set_endpoint_silence(self, seconds: float) -> None:
        """From now on an utterance ends after so much silence, within ``ENDPOINT_SILENCE_SECONDS``.

        A server that takes the session up after this one died begins again with what it was opened with.
        """

    @abstractmethod
    def change_vocabulary(self, vocabulary: tuple[Term, ...] | None = None, prompt: str | None = None) -> None:
        """From the next live step and the next final window on, other names and terms count; None: as before.

        A server that takes the session up after this one died begins again with what it was opened with.
        """

    @abstractmethod
    def stop(self, reason: Reason = "stopped", error: OpenmicError | None = None) -> None:
        """Take no more audio and send the final; ``error``, if given, is told after it, instead of an ordinary end.

        Raises:
            OpenmicError: ``already_stopped``: this session is not RECEIVING.
        """

    def stop_once(self, reason: Reason = "stopped", error: OpenmicError | None = None) -> None:
        """Stop it, if nobody has."""
        if self._state is State.RECEIVING:
            with contextlib.suppress(OpenmicError):  # it was stopped in between
                self.stop(reason, error)

    @abstractmethod
    def reach_limit(self, limit: OpenmicError) -> None:
        """Take no more audio because of ``limit``, which the client is told, and send the final."""

    @abstractmethod
    def abandon(self, error: OpenmicError) -> None:
        """End at once with ``error`` and without a final; nothing happens to a session that has ended."""

    @abstractmethod
    def check_lease(self) -> None:
        """End it, with ``session_moved``, where another process has taken it over; cheap where none can have."""

    @abstractmethod
    def let_go(self, *, resumed_elsewhere: bool) -> bool:
        """Leave an unfinished session to another process; on its return, all is on the disk, and nothing works on it.

        Args:
            resumed_elsewhere: its client is there already, so the client that is attached here gets ``Replaced``, and
                otherwise ``Failed`` with ``session_moved``.

        Returns:
            Whether there was anything to leave: it has not ended.
        """

    # --- its thread and its files

    @abstractmethod
    def join(self, seconds: float) -> None:
        """Wait up to ``seconds`` for the thread that decodes its bytes to end."""

    @abstractmethod
    def sync(self) -> None:
        """Force what is in the journal to the disk; cheap where nothing is new."""

    @abstractmethod
    def release(self) -> None:
        """Close the files and leave them on the disk; the session must have ended."""

    @abstractmethod
    def delete(self) -> None:
        """Remove everything of this session from the disk; it must have ended."""

    # --- what it tells

    @property
    def delay_seconds(self) -> float:
        """Audio that the last live text did not know yet."""
        with self._lock:
            return self._transcript.live.lag if self._transcript.live is not None else 0.0

    def attach(self, subscriber: Subscriber, after_seq: int = 0) -> None:
        """Tell ``subscriber`` all counted events after ``after_seq``, the present live text, then what comes.

        An earlier subscriber is told ``Replaced`` and nothing more.
        """
        with self._lock:
            if self._subscriber is not None:
                self._subscriber(Replaced())
            if self.moved and self._error is not None:  # what it knows may not be all that was said
                subscriber(Failed(self._error))
                return
            self._subscriber = subscriber
            self.detached_at = None
            if self._unused and after_seq == 0:
                subscriber(Warned(PROBLEMS.error("vocabulary_too_long", unused=self._unused)))
            for event in self._transcript.after(after_seq):
                subscriber(event)
            if self._transcript.live is not None:
                subscriber(self._transcript.show(self._transcript.live))
            if self._state is State.ENDED and self._error is not None:
                subscriber(Failed(self._error))

    def detach(self, subscriber: Subscriber) -> None:
        """Stop telling ``subscriber``; nothing happens if it was replaced before."""
        with self._lock:
            if self._subscriber == subscriber:  # not `is`: a bound method is a new object each time
                self._subscriber = None
                self.detached_at = time.monotonic()

    def warn(self, warning: OpenmicError) -> None:
        """Tell its client something to know about; the session goes on as it would, and nobody hears it afterwards."""
        with self._lock:
            if self._state is not State.ENDED:
                self._emit(Warned(warning))

    def snapshot(self) -> SessionSnapshot:
        """This session now."""
        with self._lock:
            live = self._transcript.live
            return SessionSnapshot(
                id=self.id,
                state=self._state,
                attached=self._subscriber is not None,
                created=self.created,
                received_bytes=self.received_bytes,
                audio_seconds=self.recording.seconds,
                lag=live.lag if live is not None else 0.0,
                committed_text=self._transcript.committed_text,
                live_text=live.text.strip() if live is not None else "",
                final=self._transcript.final,
                revised=self._transcript.revised,
                reason=self._reason,
                error=self._error if self._state is State.ENDED else None,
            )

    def commits(self) -> list[CommittedText]:
        """What has been promised so far, in order."""
        with self._lock:
            return self._transcript.commits

    def _emit(self, event: SessionEvent) -> None:
        if self._subscriber is not None:
            self._subscriber(event)
