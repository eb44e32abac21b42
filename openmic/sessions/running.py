"""A session that runs: bytes into the journal, samples into the recording, words out to the attached client.

    RECEIVING --stop, a limit, an audio error--> FINISHING --the final text--> ENDED

A dropped connection only detaches; the session goes on. One decode thread per session takes the bytes from the
journal, so a fast sender grows a file and never memory. What was decoded before an error is transcribed all the same.

What a client sent, and what it is told for good, is in the journal before anybody hears of it; so a session whose
server died goes on from its journal (``recovered``): its bytes are decoded again, its promises repeated as they were.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from openmic.audio.problems import PROBLEMS as AUDIO_PROBLEMS
from openmic.audio.types import SpeechBoundary
from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.sessions.decoding import Decode, DecodeThread
from openmic.sessions.delivery import Deliver, at_once
from openmic.sessions.events import Failed, Progressed, Reason, Replaced, SpeechChanged, UtteranceEnded, Warned
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.session import Session
from openmic.sessions.state import Limits, State, clamp_endpoint_silence
from openmic.sessions.storage.folder import SessionFiles, disk_full
from openmic.sessions.storage.journal_writer import JournalWriter, OnRecord
from openmic.sessions.storage.lease import LeaseLost
from openmic.sessions.storage.record_file import Ending
from openmic.sessions.storage.replay import JournalReplay, to_error
from openmic.speech.types import (
    CommittedText,
    Engine,
    FinalProgress,
    FinalText,
    FinalWindow,
    LiveText,
    SpeechEvent,
    SpeechFailed,
    Term,
    UtteranceOver,
)

logger = logging.getLogger(__name__)


class RunningSession(Session):
    """A stream, from its first byte to its final; all methods may be called from any thread.

    Args:
        files: its folder, leased.
        replay: what its journal holds.
        limits: what it may use.
        engine: what turns its audio into words.
        decode: makes samples of its bytes.
        recovered: another server began it; it goes on from there.
        on_record: called when something is in the journal that should not wait long for the disk.
        deliver: has what the engine says written down and told, off the engine's thread.

    Raises:
        OpenmicError: ``unknown_language``, ``engine_closed``, ``device_lost`` (from the engine); its files are given
            up: released, or deleted where it has just begun.
    """

    def __init__(
        self,
        files: SessionFiles,
        replay: JournalReplay,
        limits: Limits,
        engine: Engine,
        decode: Decode,
        *,
        recovered: bool = False,
        on_record: OnRecord = lambda: None,
        deliver: Deliver = at_once,
    ) -> None:
        super().__init__(replay, files.recording)
        self._files = files
        self._limits = limits
        self._engine = engine
        self._deliver = deliver
        self._abandoned = False
        self._journal = files.journal
        self._writer = JournalWriter(files, on_record)
        try:
            self._stream = engine.open(
                self.recording, self.options, self._on_speech, self._transcript.commits, replay.walked
            )
        except BaseException:
            files.release() if recovered else files.delete()
            raise
        self._unused = engine.unused(self.options)
        if recovered:
            self._go_on(replay)
        audio_format = replay.opened.audio_format
        self._decode_thread = DecodeThread(
            self, self._journal, self.recording, audio_format, limits, decode, replay.received_bytes
        )
        if replay.flush_at is not None:
            self._decode_thread.flush_at(replay.flush_at)
        if recovered:
            log_event(logger, "session_taken_up", session=self.id, received_bytes=replay.received_bytes)
        else:
            log_event(logger, "session_opened", session=self.id, encoding=audio_format.encoding)

    # --- what a client does

    @property
    def received_bytes(self) -> int:
        """The journal's length."""
        return len(self._journal)

    @property
    def backlog_bytes(self) -> int:
        """What the decode thread has not read yet."""
        return self._decode_thread.backlog_bytes

    def write(self, data: bytes) -> int:
        """Append to the journal; more than ``max_bytes`` ends the session with what was there before."""
        with self._lock:
            self._expect_receiving()
            if len(self._journal) + len(data) <= self._limits.max_bytes:
                try:
                    self._journal.append(data)
                except LeaseLost:
                    self._move()
                    raise PROBLEMS.error("session_moved") from None
                except OSError as error:
                    self._finish("stopped", disk_full(error))
            else:
                limits = self._limits
                self.reach_limit(
                    PROBLEMS.error("too_many_bytes", max_bytes=limits.max_bytes, max_seconds=limits.max_seconds)
                )
            return len(self._journal)

    def flush(self) -> None:
        """Note in the journal where to flush, for a server that takes the session up."""
        with self._lock:
            self._expect_receiving()
            received_bytes = len(self._journal)
            if not self._try_to_write(self._writer.flush):
                raise PROBLEMS.error("session_moved")
        self._decode_thread.flush_at(received_bytes)

    def set_endpoint_silence(self, seconds: float) -> None:
        """Set it in the decode thread, which looks for the silence."""
        self._decode_thread.set_endpoint_silence(clamp_endpoint_silence(seconds))

    def change_vocabulary(self, vocabulary: tuple[Term, ...] | None = None, prompt: str | None = None) -> None:
        """Have the engine take other terms; its client is told which of them have no room."""
        with self._lock:
            options = self.options
            self.options = replace(
                options,
                vocabulary=options.vocabulary if vocabulary is None else vocabulary,
                prompt=options.prompt if prompt is None else prompt,
            )
            self._stream.change(self.options)
            self._unused = self._engine.unused(self.options)
            if self._unused:
                self.warn(PROBLEMS.error("vocabulary_too_long", unused=self._unused))

    def stop(self, reason: Reason = "stopped", error: OpenmicError | None = None) -> None:
        """End the journal; the decode thread asks for the final when it has read it all."""
        with self._lock:
            self._expect_receiving()
            self._finish(reason, error)

    def reach_limit(self, limit: OpenmicError) -> None:
        """Warn and stop, unless that has happened."""
        with self._lock:
            if self._state is State.RECEIVING:
                self._emit(Warned(limit))
                self._finish("timeout")

    def abandon(self, error: OpenmicError) -> None:
        """Give the journal and the engine's stream up."""
        with self._lock:
            self._state = State.FINISHING if self._state is State.RECEIVING else self._state
            self._abandoned = True
        self._journal.abort()
        self._stream.abandon()
        self._fail(error)

    def check_lease(self) -> None:
        """Look at the lease, which may have run out while this process stood still."""
        if self._state is State.ENDED:
            return
        try:
            self._files.lease.confirm()
        except LeaseLost:
            self._move()

    def let_go(self, *, resumed_elsewhere: bool) -> bool:
        """Stop at this place, force the journal to the disk, and release the lease."""
        with self._lock:
            if self._state is State.ENDED:
                return False
            self._move(Replaced() if resumed_elsewhere else None)
        self._files.release()
        return True

    def _move(self, event: Replaced | None = None) -> None:
        """To ENDED, for this process; not a word of it in the journal."""
        error = PROBLEMS.error("session_moved")
        with self._lock:
            if self._state is State.ENDED:
                return
            self.moved, self._error = True, error
            self.recording.complete()
            self._close_down()
            self._emit(event or Failed(error))
        self._stream.abandon()

    # --- its thread and its files

    def join(self, seconds: float) -> None:
        """Wait for the decode thread."""
        self._decode_thread.join(seconds)

    def sync(self) -> None:
        """Sync the journal."""
        self._journal.sync()

    def release(self) -> None:
        """Release the files."""
        self._files.release()

    def delete(self) -> None:
        """Delete the files."""
        self._files.delete()

    # --- sound, from the decode thread

    def on_samples(self, boundaries: Sequence[SpeechBoundary], *, replayed: bool) -> None:
        """The recording has grown; speech started or ended there, or neither. ``replayed``: told before a restart."""
        with self._lock:
            for boundary in () if replayed else boundaries:
                self._emit(SpeechChanged(boundary))
        self._stream.add_boundaries(boundaries)

    def on_flush_reached(self) -> None:
        """All that had arrived before the last ``flush`` is in the recording."""
        self._stream.flush()

    def on_too_long(self) -> None:
        """The recording is as long as it may be; the client is told, also if it has stopped before that was decoded."""
        limit = PROBLEMS.error("session_too_long", max_seconds=self._limits.max_seconds)
        with self._lock:
            if self._state is State.RECEIVING:
                self.reach_limit(limit)
            elif self._reason != "timeout":
                self.warn(limit)

    def on_decoded_all(self, error: OpenmicError | None) -> None:
        """All bytes are decoded, or as many as could be: have the rest transcribed, wait for that, and tidy up."""
        try:
            self._ask_for_final(error)
        except Exception as fault:  # it would keep its place for ever
            self._abandon_for(fault)
        self.ended.wait()
        if self.moved:
            self._files.release()
            return
        try:
            self._writer.settle(compact=self._nothing_left())
        except OSError as disk_error:
            log_event(
                logger, "session_fault", logging.WARNING, session=self.id, code="not_compact", why=disk_error.strerror
            )

    def _abandon_for(self, fault: Exception) -> None:
        log_event(logger, "session_fault", logging.ERROR, session=self.id, code="session_failed")
        self.abandon(PROBLEMS.error("session_failed", detail=type(fault).__name__))

    def _nothing_left(self) -> bool:
        """Whether the client's bytes can be of no more use: they are transcribed, or nobody can decode them."""
        if self._error is None or self._transcript.final is not None:
            return True
        return self._error.code in AUDIO_PROBLEMS

    def _ask_for_final(self, error: OpenmicError | None) -> None:
        with self._lock:
            if self._abandoned or self._state is State.ENDED:
                return
            if error is not None and error.code == "audio_empty" and len(self._journal) == 0:
                self._emit(Warned(error))
                error = None
            self._finish("stopped", error)
            self._error = self._error or error
            final_is_known = self._transcript.final is not None  # the server died just then
        if len(self.recording) > 0 and not final_is_known:
            self._stream.finish()
            return
        self._stream.abandon()
        if final_is_known:
            with self._lock:
                self._end()
            return
        if self._error is not None:
            self._fail(self._error)
            return
        self._on_speech(FinalText("", self.options.language or "", 0.0, (), self._engine.info.name))

    # --- words

    def _on_speech(self, event: SpeechEvent) -> None:
        """From the engine's thread, which must not wait for the disk."""
        self._deliver(partial(self._write_and_tell, event))

    def _write_and_tell(self, event: SpeechEvent) -> None:
        try:
            self._take_in(event)
        except Exception as fault:  # it would wait for ever
            self._abandon_for(fault)
            raise

    def _take_in(self, event: SpeechEvent) -> None:
        with self._lock:
            if self._state is State.ENDED:
                return
            match event:
                case LiveText():
                    self._emit(self._transcript.show(event))
                case CommittedText():
                    committed = self._transcript.commit(event)
                    if self._try_to_write(partial(self._writer.write_event, committed)):
                        self._emit(committed)
                case UtteranceOver():
                    self._emit(UtteranceEnded(event))
                case FinalProgress():
                    self._emit(Progressed(event, self._state is State.FINISHING))
                case FinalWindow():
                    self._try_to_write(partial(self._writer.write_window, event))
                case FinalText():
                    finalised = self._transcript.finalise(event)
                    if self._try_to_write(partial(self._writer.write_event, finalised)):
                        self._emit(finalised)
                        self._end()
                case SpeechFailed():
                    self._fail(event.error)

    # --- transitions; the lock is held, or taken here

    def _expect_receiving(self) -> None:
        if self._state is not State.RECEIVING:
            raise PROBLEMS.error("already_stopped")

    def _finish(self, reason: Reason, error: OpenmicError | None = None) -> None:
        """RECEIVING to FINISHING; nothing if that has happened before."""
        with self._lock:
            if self._state is not State.RECEIVING:
                return
            self._state = State.FINISHING
            self._reason = reason
            self._error = error
            self._journal.end()
            self._try_to_write(partial(self._writer.stop, reason, error))
        code = error.code if error else reason
        log_event(logger, "session_finishing", session=self.id, code=code, received_bytes=len(self._journal))

    def _end(self) -> None:
        """FINISHING to ENDED, with the final told."""
        self.recording.complete()
        if self._error is not None:
            self._fail(self._error)
            return
        ended = self._transcript.end(self._reason or "stopped", self.recording.seconds)
        if self._try_to_write(partial(self._writer.end, ended)):
            self._close_down()
            self._emit(ended)

    def _fail(self, error: OpenmicError) -> None:
        """To ENDED, with ``error`` as the last word."""
        with self._lock:
            if self._state is State.ENDED:
                return
            self.recording.complete()
            self._state, self._error = State.FINISHING, error
            going_on = error.ends == "server"  # the next server finds the session unfinished
            if going_on or self._try_to_write(partial(self._writer.fail, error, self.recording.seconds)):
                self._close_down()
                self._emit(Failed(error))

    def _close_down(self) -> None:
        self._state = State.ENDED
        self._journal.abort()
        ending = self._error.code if self._error else "final"
        final, seconds = self._transcript.final, round(self.recording.seconds, 3)
        words = final.text if final is not None else None
        log_event(logger, "session_ended", session=self.id, code=ending, audio_seconds=seconds, words=words)
        self.ended_at = time.monotonic()
        self.ended.set()

    def _try_to_write(self, write: Callable[[], None]) -> bool:
        """Write into the journal; a session that cannot is finished, with what it has.

        Returns:
            Whether its client may be told: this process still holds the session.
        """
        try:
            write()
        except LeaseLost:
            self._move()
            return False
        except OSError as error:
            log_event(logger, "session_fault", logging.WARNING, session=self.id, code="disk_full", why=error.strerror)
            self._finish("stopped", disk_full(error))
            self._error = self._error or disk_full(error)
        return True

    def _go_on(self, replay: JournalReplay) -> None:
        """Stand where the session stood when its server died."""
        if not self._try_to_write(self._writer.recovered):
            return
        if replay.stopped is not None:
            self._state, self._reason = State.FINISHING, replay.stopped.reason
            self._error = to_error(replay.stopped.error)
            self._journal.end()
        elif replay.ending is Ending.DAMAGED:
            self._finish("timeout", PROBLEMS.error("journal_damaged"))
