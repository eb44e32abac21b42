"""The final pass: the whole recording as one piece, walked while it grows.

Each of Whisper's windows depends only on what came before it, so a window can be transcribed as soon as its 30 s have
been heard; when the speaker stops, only the last one is left. The walk (prompt, seek, temperature fallback, silence)
follows section 4.5 of the Whisper paper (A. Radford et al., "Robust Speech Recognition via Large-Scale Weak
Supervision", 2022) and gives what ``whisper.transcribe(word_timestamps=True)`` gives for the whole file, up to the
loudness maximum, which a progressive pass knows only so far.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch.nn.functional as F
from torch import Tensor
from whisper.audio import FRAMES_PER_SECOND, HOP_LENGTH, N_FRAMES
from whisper.timing import WordTiming
from whisper.tokenizer import Tokenizer
from whisper.utils import get_end

from openmic.audio.types import SAMPLE_RATE
from openmic.speech.alignment import token_times, whispers_words, words_of
from openmic.speech.decoder import CrossKeys
from openmic.speech.fallback import LOGPROB_THRESHOLD, NO_SPEECH_THRESHOLD, FinalModel, detected, transcribed
from openmic.speech.mel import log_mel_power, normalized
from openmic.speech.segments import Cut, cut, finished
from openmic.speech.spoken import PAUSE_SECONDS, Spoken
from openmic.speech.types import FinalText, Recording, Segment, SpeechOptions
from openmic.speech.window import Trace, WindowResult

__all__ = ["FinalModel", "FinalPass", "Walk"]

RESET_TEMPERATURE = 0.5  # text sampled above this is not fed on as a prompt
PROMPT_TOKENS = 223  # of the text before a window, the newest

SURE_OF_LANGUAGE = 0.8  # that a window's language is another one: it is tried, and taken if the text is likelier

LEAD_SECONDS = 1.0  # of a long pause that are looked at before speech,
TRAIL_SECONDS = 1.0  # and after it
LATE_SECONDS = 1.0  # voice activity tells of speech well within this after it began
LEFT_SECONDS = 0.35  # speech behind the last word that is shorter than this is the word's own end

HEARD_MARGIN_SECONDS = 0.3  # live times may be early by this
THIN = 1.0  # fewer tokens from the live pass for a second of a window than this are no draft

TimedTokens = tuple[float, tuple[int, ...]]
"""Start in seconds and tokens of a word that the live pass has committed."""

Pause = Literal["working", "waiting"]
Walk = Generator[Pause, None, None]


@dataclass(slots=True)
class FinalPass:
    """One recording's walk.

    Attributes:
        parts: model, decoder and vocabulary.
        recording: the samples, still growing until ``ended``.
        options: language, task and prompt.
        ended: set once no more samples will come.
        seek: mel frames walked so far.
        language: once it is known.
        heard: committed words of the live pass, appended by the engine; they save time and change nothing.
        spoken: where voice activity hears speech, if it is told.
    """

    parts: FinalModel
    recording: Recording
    options: SpeechOptions
    ended: bool = False
    seek: int = 0
    language: str | None = None
    heard: list[TimedTokens] = field(default_factory=list)
    spoken: Spoken = field(default_factory=Spoken)
    _tokens: list[int] = field(default_factory=list)
    _prompt: list[int] = field(default_factory=list)
    _segments: list[Segment] = field(default_factory=list)
    _loudest: float = -10.0
    _last_speech: float = 0.0
    _last_word: float = 0.0
    _silent: bool = False

    def ready(self) -> bool:
        """Whether there is something to do now: a whole window, the rest of an island, or of an ended recording."""
        return self.ended or self._window() > 0

    def walk(self) -> Walk:
        """The pass, a small step at a time; yields "waiting" where it needs more audio. Run it in inference mode."""
        tokenizer: Tokenizer | None = None
        code = ""
        while True:
            size = self._window()
            if size == 0 and self.ended:
                return
            if size == 0:
                yield "waiting"
                continue
            states = yield from _working(self.parts.encoder.encode(self._mel(size)))
            cross = self.parts.decoder.cross_keys(states)
            language, probability = detected(self.parts, self.options.language, cross)
            if tokenizer is None:
                self.language = code = language
                tokenizer = self.parts.vocabulary.tokenizer(code, self.options.task)
                self._set_prompt(tokenizer)
            result = yield from self._read(states, cross, tokenizer, size)
            if language != code and probability > SURE_OF_LANGUAGE:
                before, self._prompt = self._prompt, []
                other = self.parts.vocabulary.tokenizer(language, self.options.task)
                anew = yield from self._read(states, cross, other, size)
                if anew.avg_logprob > result.avg_logprob:
                    tokenizer, result, code = other, anew, language
                else:
                    self._prompt = before
            yield "working"
            if result.no_speech_prob > NO_SPEECH_THRESHOLD and result.avg_logprob <= LOGPROB_THRESHOLD:
                self.seek += size
                continue
            self._keep(cut(result, tokenizer, self.seek, size), result, cross, tokenizer, size)

    def result(self) -> FinalText:
        """The transcript, once the walk is over."""
        tokenizer = self.parts.vocabulary.tokenizer(self.language, self.options.task)
        return FinalText(
            text=tokenizer.decode(self._tokens),
            language=self.language or self.options.language or "en",
            duration=len(self.recording) / SAMPLE_RATE,
            segments=tuple(self._segments),
            model=self.parts.name,
        )

    def _window(self) -> int:
        """How many mel frames the next window has, 0 where there is none yet; moves ``seek`` over long silence."""
        heard: int = len(self.recording) // HOP_LENGTH
        if self.ended and heard <= self.seek:
            return 0
        seek_seconds = self.seek / FRAMES_PER_SECOND
        island = self.spoken.island(seek_seconds + LEFT_SECONDS, self.ended)
        if island is None:
            known = self.spoken.known or 0.0
            if known > seek_seconds + PAUSE_SECONDS + LATE_SECONDS + LEAD_SECONDS:
                self.seek = int((known - LATE_SECONDS - LEAD_SECONDS) * FRAMES_PER_SECOND)
                self._silent = True
            return 0
        if self._silent or island.start > seek_seconds + PAUSE_SECONDS:
            self.seek = max(self.seek, int((island.start - LEAD_SECONDS) * FRAMES_PER_SECOND))
            self._silent = False
        if island.over or self.ended:
            content: int = heard
            if heard / FRAMES_PER_SECOND - island.end > PAUSE_SECONDS:
                content = int((island.end + TRAIL_SECONDS) * FRAMES_PER_SECOND)
            return max(0, min(int(N_FRAMES), content - self.seek))
        return int(N_FRAMES) if heard >= self.seek + N_FRAMES + 2 else 0

    def _mel(self, size: int) -> Tensor:
        model = self.parts.model
        power = log_mel_power(self.recording, self.seek, size, int(model.dims.n_mels), model.device)
        self._loudest = max(self._loudest, float(power.max()))
        mel = F.pad(normalized(power, self._loudest), (0, N_FRAMES - size))
        return mel.to(self.parts.decoder.dtype)

    def _set_prompt(self, tokenizer: Tokenizer) -> None:
        if self.options.prompt and self.options.prompt.strip():
            self._prompt = list(tokenizer.encode(" " + self.options.prompt.strip()))[-PROMPT_TOKENS:]

    def _read(
        self, states: Tensor, cross: CrossKeys, tokenizer: Tokenizer, size: int
    ) -> Generator[Pause, None, WindowResult]:
        """What is said in the window; the live text is its draft if there is enough of it."""
        heard = self._heard(size)
        sketched = len(heard) < THIN * size / FRAMES_PER_SECOND
        result = yield from _working(
            transcribed(self.parts, self.options.task, states, cross, tokenizer, self._prompt, heard, sketched)
        )
        return result

    def _heard(self, size: int) -> list[int]:
        """What the live pass has heard in the window; older words are forgotten."""
        begin = self.seek / FRAMES_PER_SECOND - HEARD_MARGIN_SECONDS
        end = (self.seek + size) / FRAMES_PER_SECOND
        self.heard = [item for item in self.heard if item[0] >= begin]
        return [token for start, tokens in self.heard if start < end for token in tokens]

    def _keep(self, window: Cut, result: WindowResult, cross: CrossKeys, tokenizer: Tokenizer, size: int) -> None:
        """Give the window's segments their words, move on, and keep what was spoken."""
        words = self._words(window, result.trace, tokenizer, size)
        told = window.segments
        last = next((segment[-1].end for segment in reversed(words) if segment), None)
        self.seek += window.advance or size  # a window that says to begin at itself again would do so for ever
        if last is not None and self._over(last):
            self.seek = self.seek if window.single_ending else round(last * FRAMES_PER_SECOND)
            self._last_speech = last
        else:  # whisper.transcribe goes on behind the last word, as its own alignment has it
            told = whispers_words(told, self.parts.model, self.parts.decoder, cross, tokenizer, size, self._last_speech)
            last = get_end(told)
            if last is not None:
                if not window.single_ending and last > told[0]["seek"] / FRAMES_PER_SECOND:
                    self.seek = round(last * FRAMES_PER_SECOND)
                self._last_speech = last
        for segment, spoken in zip(told, words, strict=True):
            if not spoken or segment["start"] == segment["end"] or not segment["text"].strip():
                segment, spoken = segment | {"text": "", "tokens": []}, []
            elif not self.spoken.heard_in(spoken[0].start, spoken[-1].end):
                continue
            self._tokens.extend(segment["tokens"])
            self._segments.append(finished(len(self._segments), segment, self._placed(spoken)))
            self._prompt.extend(segment["tokens"])
        del self._prompt[: -PROMPT_TOKENS if result.temperature <= RESET_TEMPERATURE else None]
        self.spoken.forget(self.seek / FRAMES_PER_SECOND)

    def _over(self, last: float) -> bool:
        """Whether a word that ended at ``last`` is its island's last: how the walk goes on does not matter then."""
        island = self.spoken.island(last + LEFT_SECONDS, self.ended)
        if island is not None:
            return island.start > last + PAUSE_SECONDS
        return self.ended or (self.spoken.known or 0.0) > last + PAUSE_SECONDS

    def _words(self, window: Cut, trace: Trace, tokenizer: Tokenizer, size: int) -> list[list[WordTiming]]:
        """Each segment's words, in seconds of the recording."""
        times = token_times(self.parts.decoder, trace, size) + self.seek / FRAMES_PER_SECOND
        first, words = 0, []
        for segment in window.segments:
            words.append(words_of(segment["tokens"], first, times, trace, tokenizer))
            first += len(segment["tokens"])
        return words

    def _placed(self, words: list[WordTiming]) -> list[WordTiming]:
        """The words where somebody speaks, one after another, inside the audio."""
        duration = len(self.recording) / SAMPLE_RATE
        for word in words:
            start, end = self.spoken.within(word.start, word.end)
            word.start = round(min(max(start, self._last_word), duration), 2)
            word.end = self._last_word = round(min(max(end, word.start), duration), 2)
        return words


T = TypeVar("T")


def _working(steps: Generator[None, None, T]) -> Generator[Pause, None, T]:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        yield "working"
