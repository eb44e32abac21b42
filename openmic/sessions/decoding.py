"""From a session's bytes to its recording: one thread, one stretch at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from openmic.audio.decoder import AudioFormat, Warn
from openmic.audio.types import SAMPLE_RATE, ByteSource, Samples, SpeechBoundary
from openmic.audio.vad import VoiceActivity
from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.state import Limits
from openmic.sessions.storage.folder import disk_full
from openmic.sessions.storage.journal import Journal
from openmic.sessions.storage.recording import DiskRecording

logger = logging.getLogger(__name__)


Decode = Callable[[ByteSource, AudioFormat, Warn], Iterator[Samples]]
"""``openmic.audio.decoder.decode``, or what does the same in another process."""


class DecodeSink(Protocol):
    """The session; called in the decode thread (``on_flush_reached`` also in that of ``flush_at``)."""

    id: str

    def on_samples(self, boundaries: Sequence[SpeechBoundary], *, replayed: bool) -> None:
        """A stretch is decoded; ``boundaries``: of speech in it, often none; ``replayed``: told before a restart."""

    def on_flush_reached(self) -> None:
        """All audio before a flush is decoded."""

    def on_too_long(self) -> None:
        """There is more audio than a session may have."""

    def warn(self, warning: OpenmicError) -> None:
        """Some of its bytes came to nothing; the rest goes on."""

    def on_decoded_all(self, error: OpenmicError | None) -> None:
        """All audio is decoded, up to the error that ended it early."""


class _Announced:
    """A source that says before each read that all it gave before is worked on."""

    def __init__(self, source: ByteSource, say: Callable[[], None]) -> None:
        self._source = source
        self._say = say
        self.seek, self.tell = source.seek, source.tell

    def read(self, size: int) -> bytes:
        """As ``ByteSource.read``."""
        self._say()
        return self._source.read(size)


class DecodeThread:
    """Decodes what is in ``journal`` into ``recording``, from now until the journal ends.

    ``sink`` is told after each stretch which speech starts and ends are in it (often none); once, if there was more
    than ``limits.max_seconds``, which is not heard; and last that all is heard, with the error that ended it early.
    The first ``old_bytes`` of the journal were heard by a server that died. ``decode`` makes samples of the bytes.
    """

    def __init__(
        self,
        sink: DecodeSink,
        journal: Journal,
        recording: DiskRecording,
        audio_format: AudioFormat,
        limits: Limits,
        decode: Decode,
        old_bytes: int = 0,
    ) -> None:
        self._decode_bytes = decode
        self._sink = sink
        self._journal = journal
        self._recording = recording
        self._old_bytes = old_bytes
        self._audio_format = audio_format
        self._max_samples = int(limits.max_seconds * SAMPLE_RATE)
        self._voice = VoiceActivity(limits.endpoint_silence_seconds)
        self._lock = threading.Lock()
        self._flushes: list[int] = []  # bytes of the journal
        self._reader = journal.reader(self._caught_up)
        self._thread = threading.Thread(target=self._run, name=f"openmic-decode-{sink.id[:8]}", daemon=True)
        self._thread.start()

    @property
    def backlog_bytes(self) -> int:
        """How much of the journal waits to be decoded."""
        return max(0, len(self._journal) - self._reader.tell())

    def flush_at(self, offset: int) -> None:
        """Tell the sink when the first ``offset`` bytes are heard."""
        with self._lock:
            self._flushes.append(offset)
        if self._reader.waiting:  # else it will catch up by itself
            self._caught_up()

    def set_endpoint_silence(self, seconds: float) -> None:
        """From now on speech counts as ended after so much silence."""
        self._voice.endpoint_silence_seconds = seconds

    def join(self, seconds: float) -> None:
        """Wait up to ``seconds`` for the thread to end."""
        self._thread.join(seconds)

    def _caught_up(self, *, ended: bool = False) -> None:
        """Tell of the flushes that are reached: all of them once the decoding has ``ended``."""
        with self._lock:
            offset = self._reader.tell()
            due = [flush for flush in self._flushes if ended or flush <= offset]
            self._flushes = self._flushes[len(due) :]
        for _ in due:
            self._sink.on_flush_reached()

    def _run(self) -> None:
        error: OpenmicError | None = None
        try:
            self._decode()
        except OpenmicError as audio_error:
            error = audio_error
        except OSError as disk_error:
            error = disk_full(disk_error)
        except Exception as fault:
            log_event(logger, "session_fault", logging.ERROR, session=self._sink.id, code="session_failed")
            error = PROBLEMS.error("session_failed", detail=type(fault).__name__)
        self._caught_up(ended=True)
        self._sink.on_decoded_all(error)

    def _decode(self) -> None:
        source: ByteSource = self._reader
        if self._audio_format.encoding != "auto":  # raw samples are worked on before more are read
            source = _Announced(self._reader, self._caught_up)
        try:
            for samples in self._decode_bytes(source, self._audio_format, self._sink.warn):
                room = self._max_samples - len(self._recording)
                taken = samples[:room]
                self._recording.append(taken)
                self._sink.on_samples(self._voice.push(taken), replayed=self._reader.tell() <= self._old_bytes)
                if len(samples) > room:
                    self._sink.on_too_long()
                    break
        finally:
            self._sink.on_samples(self._voice.flush(), replayed=False)  # ends that only the end of the stream shows
