"""The final pass: the whole recording as one piece, walked while it grows.

Each of Whisper's windows depends only on what came before it, so a window can be transcribed as soon as its 30 s have
been heard; when the speaker stops, only the last one is left. The walk (prompt, seek, temperature fallback, silence)
follows section 4.5 of the Whisper paper (A. Radford et al., "Robust Speech Recognition via Large-Scale Weak
Supervision", 2022) and gives what ``whisper.transcribe(word_timestamps=True)`` gives for the whole file, up to the
loudness maximum, which a progressive pass knows only so far.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor
from whisper.audio import FRAMES_PER_SECOND, N_FRAMES
from whisper.tokenizer import Tokenizer

from openmic.audio.types import SAMPLE_RATE
from openmic.speech.final.decode import WindowResult
from openmic.speech.final.left_behind import LEFT_BEHIND_SECONDS, with_left_behind
from openmic.speech.final.next_window import next_window, paused_at, speech_ahead
from openmic.speech.final.passes import CheckedPass, Pause, Walk, WindowPass
from openmic.speech.final.segments import to_segment, words_in
from openmic.speech.final.speculation import Speculation
from openmic.speech.final.speech_timeline import SpeechTimeline
from openmic.speech.final.temperature import (
    GREEDY,
    TEMPERATURES,
    FinalModel,
    detect_language,
    failed,
    transcribe_window,
)
from openmic.speech.final.walk_state import WalkState
from openmic.speech.final.window_text import WindowText, window_text
from openmic.speech.glossary import FINAL_TERM_TOKENS, Glossary
from openmic.speech.model.decoder import CrossAttentionKV
from openmic.speech.model.mel import log_mel_power_of, normalized
from openmic.speech.model.units import LOGPROB_THRESHOLD, NO_SPEECH_THRESHOLD
from openmic.speech.types import FinalText, Recording, SpeechOptions

__all__ = ["FinalModel", "FinalPass", "Walk"]

RESET_TEMPERATURE = 0.5  # text sampled above this is not fed on as a prompt
PROMPT_TOKENS = 223  # of the text before a window, the newest
SURE_OF_LANGUAGE = 0.8  # that a window's language is another one: it is tried, and taken if the text is likelier
HALF_A_CHARACTER = "\ufffd"  # what the bytes of one that goes on in the next token are decoded to
CRUMB_SECONDS = 1.0  # of speech: less, behind a word and with no live text, is said for sure or not at all
HEARD_MARGIN_SECONDS = 0.3  # live times may be early by this
THIN = 1.0  # fewer tokens from the live pass for a second of a window than this are no draft

TimedTokens = tuple[float, tuple[int, ...]]
"""Start in seconds and tokens of a word that the live pass has committed."""


@dataclass(slots=True)
class FinalPass:
    """One recording's walk.

    Attributes:
        parts: model, decoder and vocabulary.
        recording: the samples, still growing until ``ended``.
        options: language, task, prompt and vocabulary.
        ended: set once no more samples will come.
        state: how far it has come.
        live_tokens: committed words of the live pass, appended by the engine; they save time and change nothing.
        timeline: where voice activity hears speech, if it is told.
    """

    parts: FinalModel
    recording: Recording
    options: SpeechOptions
    ended: bool = False
    state: WalkState = field(default_factory=WalkState)
    live_tokens: list[TimedTokens] = field(default_factory=list)
    timeline: SpeechTimeline = field(default_factory=SpeechTimeline)
    _glossary: Glossary | None = None
    _ahead: Speculation | None = None

    def change(self, options: SpeechOptions) -> None:
        """From the next window on, other options count."""
        self.options, self._glossary, self._ahead = options, None, None

    def ready(self) -> bool:
        """Whether there is something to do now: a whole window, the rest of a region, or of an ended recording."""
        if not self._speculation_valid():
            self._ahead = None  # the pause is over
        return self.ended or next_window(self.recording, self.timeline, self.state, self.ended) > 0

    def walk(self) -> Walk:
        """The pass, a small step at a time; yields "waiting" where it needs more audio. Run it in inference mode."""
        while True:
            size = next_window(self.recording, self.timeline, self.state, self.ended)
            if size == 0 and self.ended:
                return
            if size == 0:
                yield "waiting"
                continue
            if self._speculation_valid():
                while self._ahead and not self._ahead.done:
                    self._ahead.step()
                    yield "working"
                self._adopt()
                continue
            states = yield from _working(self.parts.encoder.encode(self._mel(size)))
            cross = self.parts.decoder.cross_attention_kv(states)
            language, probability = detect_language(self.parts, self.options.language, cross)
            if not self.state.window_language:
                self.state.language = self.state.window_language = language
            result = yield from self._read(states, cross, self.state.window_language, size)
            if language != self.state.window_language and probability > SURE_OF_LANGUAGE:
                before, self.state.prompt = self.state.prompt, []
                anew = yield from self._read(states, cross, language, size)
                if anew.avg_logprob > result.avg_logprob:
                    result, self.state.window_language = anew, language
                else:
                    self.state.prompt = before
            yield "working"
            silent = result.no_speech_prob > NO_SPEECH_THRESHOLD and result.avg_logprob <= LOGPROB_THRESHOLD
            if silent or self._is_copy(result) or (failed(result) and self._is_crumb(size)):
                kept = WindowText([], self.state.seek + size, self.state.last_speech_seconds)
            else:
                tokenizer = self._tokenizer(self.state.window_language)
                terms = self._glossary is not None and bool(self._glossary.pinned(""))
                kept = window_text(
                    self.parts, result, cross, tokenizer, size, self.timeline, self.state, self.ended, terms
                )
                self.state.prompt.extend(token for one in kept.segments for token in one.fields["tokens"])
                del self.state.prompt[: -PROMPT_TOKENS if result.temperature <= RESET_TEMPERATURE else None]
            yield from self._add(kept)

    def speculate(self) -> bool:
        """Do a small step as if the speaker stopped here, if that is likely: silent for a moment, and not ``ready``.

        Returns:
            Whether there was one to do. Where it comes to that, ``walk`` uses what was found.
        """
        end = paused_at(self.recording, self.timeline, self.state, self.ended)
        if end is None:
            return False
        if self._ahead is None:
            self._ahead = Speculation(self._fork(), end)
        if self._ahead.done:
            return False
        self._ahead.step()
        return True

    def speculation_complete(self) -> bool:
        """Whether nothing is left to do but to take what was found in a pause."""
        return self._ahead is not None and self._ahead.done and self._speculation_valid()

    def release(self) -> None:
        """Let go of what is large, and of the model; the pass is over."""
        self._ahead = self._glossary = None
        del self.parts

    def text(self) -> str:
        """What was said in the windows walked so far; a later one, and the result's, begins with it."""
        return self.parts.vocabulary.any.decode(self.state.tokens).rstrip(HALF_A_CHARACTER) if self.state.tokens else ""

    def result(self) -> FinalText:
        """The transcript, once the walk is over."""
        return FinalText(
            text=self.parts.vocabulary.any.decode(self.state.tokens),
            language=self.state.language or self.options.language or "en",
            duration=len(self.recording) / SAMPLE_RATE,
            segments=tuple(self.state.segments),
            model=self.parts.name,
        )

    def _speculation_valid(self) -> bool:
        """Whether the speaker has stopped where ``speculate`` took it that he would."""
        ahead, end = self._ahead, paused_at(self.recording, self.timeline, self.state, self.ended)
        return ahead is not None and (ahead.begin, ahead.end) == (self.state.seek, end)

    def _fork(self) -> FinalPass:
        """A copy for which the recording is over."""
        return replace(
            self,
            ended=True,
            state=self.state.copy(),
            timeline=self.timeline.copy(),
            live_tokens=list(self.live_tokens),
            _ahead=None,
        )

    def _adopt(self) -> None:
        """Go on from where the copy has come to."""
        if self._ahead is not None:
            self.state, self._ahead = self._ahead.fork.state, None

    def _mel(self, size: int) -> Tensor:
        model = self.parts.model
        power = log_mel_power_of(self.recording, self.state.seek, size, int(model.dims.n_mels), model.device)
        self.state.loudest = max(self.state.loudest, float(power.max()))
        mel = F.pad(normalized(power, self.state.loudest), (0, N_FRAMES - size))
        return mel.to(self.parts.decoder.dtype)

    def _tokenizer(self, language: str | None) -> Tokenizer:
        return self.parts.vocabulary.tokenizer(language, self.options.task)

    def _read(
        self, states: Tensor, cross: CrossAttentionKV, language: str, size: int
    ) -> Generator[Pause | WindowPass, CheckedPass | None, WindowResult]:
        """What is said in the window in a language; the live text is its draft if there is enough of it.

        The client's terms stand in front of it. Where not all of them have room, those are taken that sound like the
        live text, and the window is read again if it turns out to sound like others. A crumb is read once, and without
        them: behind a list, and at higher temperatures, the decoder invents sentences for the end of a word.
        """
        tokenizer, expected = self._tokenizer(language), self._expected(size)

        def read(
            pinned: Sequence[int], draft: Sequence[int], sketched: bool, temperatures: Sequence[float] = TEMPERATURES
        ) -> Generator[Pause | WindowPass, CheckedPass | None, WindowResult]:
            task, prompt = self.options.task, [*pinned, *self.state.prompt[-(PROMPT_TOKENS - len(pinned)) :]]
            return _working(
                transcribe_window(self.parts, task, states, cross, tokenizer, prompt, draft, sketched, temperatures)
            )

        if self._is_crumb(size):
            return (yield from read((), (), True, GREEDY))
        sketched = len(expected) < THIN * size / FRAMES_PER_SECOND
        if self._glossary is None:
            self._glossary = Glossary(self.parts.vocabulary, self.options, FINAL_TERM_TOKENS)
        pinned = self._glossary.pinned(tokenizer.decode(expected))
        result = yield from read(pinned, expected, sketched)
        if self._glossary.copied(result.text, pinned):
            result = yield from read((), (), sketched)
        elif not self._glossary.holds(pinned, result.text):
            pinned = self._glossary.pinned(result.text)
            result = yield from read(pinned, result.tokens, False)
        return result

    def _is_copy(self, result: WindowResult) -> bool:
        """Whether a text stands in the prompt word for word, where nobody seems to speak: a hum, a breath."""
        decode = self.parts.vocabulary.any.decode
        said = decode(list(result.tokens)).strip()
        return result.no_speech_prob > NO_SPEECH_THRESHOLD and said != "" and said in decode(self.state.prompt)

    def _is_crumb(self, size: int) -> bool:
        """Whether hardly anything is said in the window, behind a word of the same region, and nothing of it live."""
        begin, end = self.state.seek / FRAMES_PER_SECOND, (self.state.seek + size) / FRAMES_PER_SECOND
        last, region = self.state.last_speech_seconds, speech_ahead(self.timeline, self.state, self.ended)
        if last is None or region is None or region.start > last or self._expected(size):
            return False
        known = self.timeline.known_until_seconds is not None
        return known and self.timeline.speech_seconds(begin, end) < CRUMB_SECONDS

    def _expected(self, size: int) -> list[int]:
        """What the live pass has heard in the window; older words are forgotten."""
        begin = self.state.seek / FRAMES_PER_SECOND - HEARD_MARGIN_SECONDS
        end = (self.state.seek + size) / FRAMES_PER_SECOND
        self.live_tokens = [item for item in self.live_tokens if item[0] >= begin]
        return [token for start, tokens in self.live_tokens if start < end for token in tokens]

    def _add(self, kept: WindowText) -> Walk:
        """Add to the text what a window said and what it has left out, and move on."""
        state, duration = self.state, len(self.recording) / SAMPLE_RATE
        before = state.last_word_seconds
        self.timeline.place(words_in(kept.segments), before, duration)
        begin = max(before, state.seek / FRAMES_PER_SECOND - LEFT_BEHIND_SECONDS)  # earlier speech was looked at then
        end = kept.seek / FRAMES_PER_SECOND
        steps = with_left_behind(self.parts, self.recording, self.options, self.timeline, kept.segments, begin, end)
        segments = yield from _working(steps)
        state.last_word_seconds = self.timeline.place(words_in(segments), before, duration)
        for one in segments:
            state.tokens.extend(one.fields["tokens"])
            state.segments.append(to_segment(len(state.segments), one.fields, one.words))
        state.seek, state.last_speech_seconds = kept.seek, kept.last_speech_seconds
        state.windows += 1
        self.timeline.forget(state.seek / FRAMES_PER_SECOND)


T = TypeVar("T")


def _working(
    steps: Generator[WindowPass | None, CheckedPass | None, T],
) -> Generator[Pause | WindowPass, CheckedPass | None, T]:
    """A window's steps as the walk's: its passes go to the caller that drives the walk, and their answers come back."""
    checked: CheckedPass | None = None
    while True:
        try:
            wanted = steps.send(checked)
        except StopIteration as end:
            result: T = end.value
            return result
        checked = yield wanted or "working"
