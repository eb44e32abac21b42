"""All sessions of one server: which may begin, which may be resumed, and when files go.

One keeper thread finishes sessions whose client stayed away, deletes those that were kept long enough, and takes up
those that servers which have gone left unfinished; another thread forces journals to the disk. Several servers may
share one folder: each session belongs to the one that holds its lease, and goes to another where its client comes back
there.
"""

from __future__ import annotations

import builtins
import secrets
import threading
import time

from openmic.audio.decoder import AudioFormat
from openmic.audio.decoder_processes import DecoderProcesses
from openmic.sessions.admission import free_places, make_room, places
from openmic.sessions.delivery import DeliveryThread
from openmic.sessions.elsewhere import Elsewhere
from openmic.sessions.keeper import Keeper
from openmic.sessions.known import JOIN_SECONDS, KnownSessions
from openmic.sessions.lease_thread import LeaseThread
from openmic.sessions.load import LoadHistory
from openmic.sessions.lookup import Lookup
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.recovery import ID_DIGITS, Recovery
from openmic.sessions.running import RunningSession
from openmic.sessions.session import Session
from openmic.sessions.snapshot import SessionSnapshot
from openmic.sessions.state import Limits, State, clamp_endpoint_silence, with_defaults
from openmic.sessions.storage.folder import Household, SessionFiles
from openmic.sessions.storage.fsync import FsyncThread
from openmic.sessions.storage.holder import Holder
from openmic.sessions.storage.other_holders import OtherHolders
from openmic.sessions.storage.replay import JournalReplay, OpenedEntry, hash_token
from openmic.sessions.storage.space import DiskSpace
from openmic.settings import Settings
from openmic.speech.types import Engine, SpeechOptions


class Sessions:
    """The sessions over one engine; all methods may be called from any thread.

    Args:
        settings: limits and where recordings are kept.
        engine: what turns their audio into words. It is not closed here.

    Attributes:
        known: the table of them, with its totals.
        load: how much there was to do lately.
        space: the room on the disk.
        holder: this process, as others see it.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings = settings
        self.engine = engine
        self.load = LoadHistory()
        self.known = KnownSessions()
        self._closing = threading.Event()
        self._leaving = False
        data_dir, lease_seconds = settings.data_dir, settings.lease_seconds
        self.holder = Holder(data_dir, lease_seconds, settings.replica)
        self._household = Household(self.holder, OtherHolders(data_dir, lease_seconds))
        unreadable_seconds = settings.keep_seconds + settings.idle_seconds + settings.resume_seconds
        self._recovery = Recovery(data_dir, self._household, settings.keep_seconds, unreadable_seconds, self._run)
        self._lookup = Lookup(self.known, self._recovery, self._take_in)
        self.space = DiskSpace(data_dir, settings.max_data_bytes, settings.min_free_disk_bytes)
        self._decoders = DecoderProcesses()
        self._delivery = DeliveryThread()
        self._syncer = FsyncThread(settings.journal_sync_seconds, self.known.all)
        self._leases = LeaseThread(self._household, self._let_go_soon)
        self._elsewhere = Elsewhere(data_dir, self._household)
        self._keeper = Keeper(self, self._closing)

    def create(
        self,
        audio_format: AudioFormat,
        options: SpeechOptions,
        *,
        words: bool = False,
        token_id: str = "",
        endpoint_silence_seconds: float | None = None,
        resumes: bool = True,
    ) -> Session:
        """Begin a session.

        Args:
            audio_format: what its client said about its bytes.
            options: and what it wants; what is not named is as in the settings.
            words: whether its client wants word times.
            token_id: of the access token that it is begun with.
            endpoint_silence_seconds: what ends an utterance, within ``ENDPOINT_SILENCE_SECONDS``; None: the settings'.
            resumes: whether its client can come back on another connection.

        Raises:
            OpenmicError: ``server_full`` (as ``ServerFull``), ``server_stopping``, ``disk_full``, or what the engine
                refuses (``unknown_language``).
        """
        self.space.check()
        options = with_defaults(options, self.settings)
        silence_seconds = self.settings.endpoint_silence_seconds
        if endpoint_silence_seconds is not None:
            silence_seconds = clamp_endpoint_silence(endpoint_silence_seconds)
        with self.known.lock:
            if self._closing.is_set() or self._leaving:
                raise PROBLEMS.error("server_stopping")
            gives_way = make_room(self.known.all(), self.settings, self.engine)
            if gives_way is not None:
                gives_way.stop_once("timeout")
            name, token = secrets.token_hex(ID_DIGITS // 2), secrets.token_urlsafe(24)
            opened = OpenedEntry(name, hash_token(token), time.time(), words, options, audio_format, silence_seconds)
            files = SessionFiles.create(self.settings.data_dir / name, opened, self.holder)
            session = self._run(files, JournalReplay(opened), recovered=False)
            session.resume_token, session.token_id, session.resumes = token, token_id, resumes
            self.known.begin(session)
        return session

    def warm_up(self) -> None:
        """Start what the first session would have to wait for.

        Raises:
            OpenmicError: ``decoder_not_started``.
        """
        self._decoders.warm_up()

    def get(self, session_id: str) -> Session:
        """See ``Lookup.get``."""
        return self._lookup.get(session_id)

    def wait_for(self, session_id: str) -> None:
        """What the client of a session says is on its way: its silence up to now does not count as idle.

        For code between a client and the server in the server's own process. Does nothing where there is no
        such session; one that is open for too long ends all the same.
        """
        session = self.known.here(session_id)
        if session is not None:
            session.activity.rest(time.monotonic())

    def resume(self, session_id: str, resume_token: str) -> Session:
        """See ``Lookup.resume``."""
        return self._lookup.resume(session_id, resume_token, may_take_up=not self._leaving)

    def look_up(self, session_id: str, resume_token: str) -> Session:
        """See ``Lookup.read``."""
        return self._lookup.read(session_id, resume_token)

    def let_go(self, session_id: str) -> bool:
        """Leave a session to another process, where its client has come back; waits for the disk.

        Returns:
            Whether there was anything to leave: an unfinished session that this process held.
        """
        session = self.known.here(session_id)
        return session is not None and session.let_go(resumed_elsewhere=True)

    def hand_over(self) -> int:
        """Leave all sessions whose clients can come back to other processes, and begin none from now on.

        Their clients are told ``session_moved``, which has them resume. This process may then end at any time that
        those which are left allow.

        Returns:
            How many are left: unfinished sessions whose clients cannot come back.
        """
        with self.known.lock:
            self._leaving = True
        sessions = self.known.all()
        for session in sessions:
            if session.resumes:
                session.let_go(resumed_elsewhere=False)
        return sum(not session.resumes and session.state is not State.ENDED for session in sessions)

    def delete(self, session_id: str) -> None:
        """Delete an ended session before its time.

        Raises:
            OpenmicError: ``unknown_session``, ``session_deleted``, ``session_not_over``.
        """
        session = self.get(session_id)
        if session.ended_at is None:
            raise PROBLEMS.error("session_not_over")
        if self.known.here(session_id) is None:
            self._take_in(session)
        self.known.delete(session)

    def delete_ended(self) -> int:
        """Delete all ended sessions before their time; returns how many there were."""
        ended = [session for session in self.known.all() if session.ended_at is not None]
        for session in ended:
            self.known.delete(session)
        return len(ended)

    def list(self) -> list[SessionSnapshot]:
        """All sessions of this process that are open or kept, the oldest first."""
        return [session.snapshot() for session in self.known.all() if not session.moved]

    def list_everywhere(self) -> builtins.list[SessionSnapshot]:
        """Those, and what runs in other processes that share the folder, as they told up to a second ago."""
        here = self.list()
        elsewhere = self._elsewhere.read({session.id for session in here})
        return sorted([*here, *elsewhere], key=lambda session: session.created)

    def close(self, seconds: float | None = None) -> None:
        """Finish all sessions and wait for their finals; safe to call again, also where it was interrupted.

        What has ended stays on disk for the next server, as long as ``settings.keep_seconds`` says. Sessions that did
        not get their final in time fail with ``server_stopping``; the next server finishes them.

        Args:
            seconds: longest wait; None: ``settings.stop_seconds``.
        """
        with self.known.lock:
            self._closing.set()
            sessions = self.known.all()
        for session in sessions:
            session.stop_once("shutdown")
        deadline = time.monotonic() + (self.settings.stop_seconds if seconds is None else seconds)
        for session in sessions:
            if session.ended.wait(max(0.0, deadline - time.monotonic())):
                session.join(JOIN_SECONDS)
                session.release() if self.settings.keep_seconds or session.moved else session.delete()
            else:
                session.abandon(PROBLEMS.error("server_stopping"))
                session.join(JOIN_SECONDS)
                session.release()
            self.known.close(session)
        self._decoders.close()
        self._delivery.close(JOIN_SECONDS)
        self._syncer.close(JOIN_SECONDS)
        self._keeper.join(JOIN_SECONDS)
        self._leases.close(JOIN_SECONDS)

    @property
    def places(self) -> int:
        """How many sessions may be open at once."""
        return places(self.settings, self.engine)

    @property
    def free_places(self) -> int:
        """How many more sessions may begin now."""
        return free_places(self.known.all(), self.settings, self.engine)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the threads that delete, end, save and transcribe sessions; empty: nothing."""
        threads = (self._keeper, self._syncer, self._delivery, self._leases)
        return (*(problem for thread in threads for problem in thread.problems), *self.engine.stats().problems)

    # --- what the keeper asks for

    def look(self) -> None:
        """Take in what has no server any more, let go of what was deleted from outside, and see how much is there."""
        self.space.measure()
        if not self._leaving:
            for session in self._recovery.look(self.known.__contains__):
                self._take_in(session)
        for session in self.known.all():
            if session.ended_at is not None and not (self.settings.data_dir / session.id).exists():
                self.known.delete(session)

    def tell_others(self) -> None:
        """Say which sessions are here, for the lists of other processes that share the folder.

        Raises:
            OSError: the folder cannot be written.
        """
        self._elsewhere.tell(
            (session.snapshot(), session.ended_at) for session in self.known.all() if not session.moved
        )

    # --- its own

    def _let_go_soon(self, session_id: str) -> None:
        """Another process asks for a session: leave it, behind all that is to be told before."""
        session = self.known.here(session_id)
        if session is not None:
            self._delivery.submit(lambda: session.let_go(resumed_elsewhere=True))

    def _take_in(self, session: Session) -> None:
        with self.known.lock:
            if self._closing.is_set():
                session.abandon(PROBLEMS.error("server_stopping"))
                session.release()
                return
            self.known.take_in(session)

    def _run(self, files: SessionFiles, replay: JournalReplay, *, recovered: bool = True) -> RunningSession:
        return RunningSession(
            files,
            replay,
            Limits.of(self.settings, replay.opened.endpoint_silence_seconds),
            self.engine,
            self._decoders.decode,
            recovered=recovered,
            on_record=self._syncer.soon,
            deliver=self._delivery.submit,
        )
