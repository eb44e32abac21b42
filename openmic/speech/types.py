"""What passes between the speech room and the sessions.

A session appends samples to its recording and tells its stream; the engine reads what it needs, and answers with
events through the stream's callback, in order, from the engine's own thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from openmic.audio.types import Samples, SpeechBoundary
from openmic.errors import OpenmicError

Task = Literal["transcribe", "translate"]
UtteranceCause = Literal["silence", "flush", "stop"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model an engine runs.

    Attributes:
        name: as it is loaded by.
        device: torch's ("cpu", "cuda:0"), and ``device_name`` what people call it ("CPU", "Tesla T4").
        dtype: torch's ("float32").
        languages: ISO 639-1 codes of those it knows; English alone for an English-only model.
        translates: whether it can write English where another language is spoken.
    """

    name: str
    device: str
    dtype: str
    languages: tuple[str, ...]
    translates: bool
    device_name: str = "CPU"


@dataclass(frozen=True, slots=True)
class Term:
    """A name or a term as it is to be written, and how it may sound, each spelt as it is spoken."""

    text: str
    sounds_like: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """What a client asked for.

    Attributes:
        language: ISO 639-1; None: detect it.
        task: transcribe or translate.
        prompt: text that Whisper takes for what was said before every window: names, style.
        vocabulary: names and terms that may be said, the newest last.
    """

    language: str | None = None
    task: Task = "transcribe"
    prompt: str | None = None
    vocabulary: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its leading space, its times in seconds, and its probability in 0..1."""

    word: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a final transcript; the fields of openai-whisper's ``transcribe`` result."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveText:
    """The unstable tail after all commits; replaces the previous one.

    Attributes:
        text: the tail's words ("" clears it).
        start, end: seconds on the stream's clock.
        audio_seconds: how much audio had been heard when this step began.
        lag: seconds of audio that arrived since, and are not in this text.
        language: ISO 639-1, asked for or detected; None until enough speech was heard to tell.
        words: what ``text`` is made of.
    """

    text: str
    start: float
    end: float
    audio_seconds: float
    lag: float
    language: str | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class CommittedText:
    """Words that are never taken back; ``text`` is exactly what ``words`` spell, to append to the transcript.

    ``language`` is that of ``LiveText``.
    """

    text: str
    start: float
    end: float
    words: tuple[Word, ...]
    language: str | None = None


@dataclass(frozen=True, slots=True)
class UtteranceOver:
    """All that was said up to ``end`` is committed; one for each end of speech and one for each flush.

    It comes behind the last commit of its utterance, also where nothing was left to commit, and where nothing was said.

    Attributes:
        end: seconds on the stream's clock.
        cause: a pause, a flush, or the end of the stream in the middle of speech.
    """

    end: float
    cause: UtteranceCause


@dataclass(frozen=True, slots=True)
class FinalProgress:
    """How far the final pass is, about once a second while it has much to do or its text is waited for.

    Attributes:
        walked_seconds: audio that it has done with.
        total_seconds: audio that there is; it may still grow.
        text: what the final text begins with; it only grows.
    """

    walked_seconds: float
    total_seconds: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class FinalWindow:
    """How the final pass stands behind one more of its windows, or some more.

    With the recording, all of them together are what a pass needs to go on from there, in another process too.

    Attributes:
        model: the name of the one that runs.
        segments: what was added to the text, and ``segments_before`` how many segments came before.
        seek: mel frames walked so far.
        language, window_language: of the text, and of the latest window; "" before they are known.
        prompt: tokens of the text before the next window.
        loudest: log10 mel power, the maximum so far.
        last_speech_seconds: where the latest word ended; None before the first.
        last_word_seconds: where the latest word ended, as it was placed in the text.
        in_silence: the pass has moved on over a long silence, and speech has not come since.
    """

    model: str
    segments: tuple[Segment, ...]
    segments_before: int
    seek: int
    language: str
    window_language: str
    prompt: tuple[int, ...]
    loudest: float
    last_speech_seconds: float | None
    last_word_seconds: float
    in_silence: bool


@dataclass(frozen=True, slots=True)
class FinalText:
    """The whole recording transcribed as one piece; always a stream's last event."""

    text: str
    language: str
    duration: float
    segments: tuple[Segment, ...]
    model: str


@dataclass(frozen=True, slots=True)
class SpeechFailed:
    """The stream cannot go on; also a last event."""

    error: OpenmicError


SpeechEvent = LiveText | CommittedText | UtteranceOver | FinalProgress | FinalWindow | FinalText | SpeechFailed
OnEvent = Callable[[SpeechEvent], None]
"""Called from the engine's thread; must return at once and raise nothing."""


@dataclass(frozen=True, slots=True)
class EngineStats:
    """How an engine does right now, for dashboards and metrics.

    Attributes:
        streams: open streams.
        busy: fraction of the last seconds (about 10) in which the engine worked, 0..1.
        step_seconds: time of the latest live step.
        batch_size: streams that the latest live step served.
        lag_seconds: the largest amount of audio that any stream has waiting.
        memory_bytes: the device's memory in use by this process; None where it cannot be told.
        capacity: as ``Engine.capacity``.
        slowness: how many times longer live steps take than measured, over the last half minute; at least 1.
        late: live steps have been late for some seconds, whatever was measured: nobody more should be admitted.
        finals_held: final passes have been giving way to live text for some seconds; also nobody more.
        finals_waiting: streams whose client has stopped and waits for the final text.
        finals_seconds: estimated work on these finals, in seconds of the device.
        next_final_seconds: the same for the one that comes next; None where nobody waits.
        problems: what is wrong with the engine's thread, each in some words.
    """

    streams: int = 0
    busy: float = 0.0
    step_seconds: float = 0.0
    batch_size: int = 0
    lag_seconds: float = 0.0
    memory_bytes: int | None = None
    capacity: int | None = None
    slowness: float = 1.0
    late: bool = False
    finals_held: bool = False
    finals_waiting: int = 0
    finals_seconds: float = 0.0
    next_final_seconds: float | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCapacity:
    """How many may speak at once with a model on the engine's device.

    Attributes:
        model: its name.
        speakers: how many; 0: it would not keep up with one.
        measured: it is the loaded model, and was measured; else estimated from that.
        fits: whether the device's memory holds it.
    """

    model: str
    speakers: int
    measured: bool
    fits: bool


class Recording(Protocol):
    """The samples of one stream so far; safe to read from any thread while another appends."""

    def __len__(self) -> int:
        """How many samples there are."""

    def read(self, start: int, stop: int) -> Samples:
        """Samples ``start`` to ``stop`` (clipped to what is there); shape (n,), float32."""


class SpeechStream(Protocol):
    """One stream as the engine sees it. Every method returns at once."""

    def add_boundaries(self, boundaries: Sequence[SpeechBoundary]) -> None:
        """The recording has grown; ``boundaries`` are the speech starts and ends found in the new part."""

    def flush(self) -> None:
        """Commit everything said so far as an ended utterance, as soon as possible; answered by ``UtteranceOver``."""

    def change(self, options: SpeechOptions) -> None:
        """From the next step on, the prompt and the vocabulary of ``options`` count; the rest stays as it is."""

    def finish(self) -> None:
        """No more audio will come: commit the rest, then send ``FinalText`` (or ``SpeechFailed``) and nothing more."""

    def abandon(self) -> None:
        """Drop all work for this stream; no event follows (one that is on its way may still arrive)."""


class Engine(Protocol):
    """One model on one device, shared by many streams."""

    @property
    def info(self) -> ModelInfo:
        """The model that runs here."""

    @property
    def capacity(self) -> int | None:
        """How many may speak at once; None: not measured.

        As measured at the start and again while nobody speaks; fewer while live steps take much longer than that.
        """

    def capacities(self) -> Sequence[ModelCapacity]:
        """The same for each model, the smallest first: measured for this one, estimated for others; empty: as above."""

    def unused(self, options: SpeechOptions) -> str:
        """What of a prompt and a vocabulary there is no room for, in some words; "" where all of it counts."""

    def open(
        self,
        recording: Recording,
        options: SpeechOptions,
        on_event: OnEvent,
        committed: Sequence[CommittedText] = (),
        walked: Sequence[FinalWindow] = (),
    ) -> SpeechStream:
        """Begin a stream.

        Args:
            recording: its samples, which may still grow.
            options: what its client asked for.
            on_event: where its events go.
            committed: what was said of this recording before; live text goes on behind it.
            walked: what the final pass has done of it before, in order; it goes on behind that, if the model is the
                same.

        Raises:
            OpenmicError: ``unknown_language``, ``engine_closed``, ``device_lost``.
        """

    def stats(self) -> EngineStats:
        """A snapshot; cheap, from any thread."""

    def close(self) -> None:
        """Stop the thread and free the device; open streams get ``SpeechFailed``."""
