"""The final pass: the whole recording as one piece, walked while it grows.

Each of Whisper's windows depends only on what came before it, so a window can be transcribed as soon as its 30 s have
been heard; when the speaker stops, only the last one is left. The walk (prompt, seek, temperature fallback, silence)
follows section 4.5 of the Whisper paper (A. Radford et al., "Robust Speech Recognition via Large-Scale Weak
Supervision", 2022) and gives what ``whisper.transcribe(word_timestamps=True)`` gives for the whole file, up to the
loudness maximum, which a progressive pass knows only so far.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from whisper.audio import FRAMES_PER_SECOND, HOP_LENGTH, N_FRAMES
from whisper.decoding import DecodingOptions
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer

from openmic.audio.types import SAMPLE_RATE
from openmic.speech.alignment import add_words
from openmic.speech.decoder import Decoder
from openmic.speech.mel import log_mel_power, normalized
from openmic.speech.types import FinalText, Recording, Segment, SpeechOptions, Word
from openmic.speech.vocabulary import Vocabulary
from openmic.speech.window import WindowResult, decode, encode

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
COMPRESSION_RATIO_THRESHOLD = 2.4  # above: too repetitive, try a higher temperature
LOGPROB_THRESHOLD = -1.0  # below: too unsure, try a higher temperature
NO_SPEECH_THRESHOLD = 0.6  # above, with a low log-probability: silence
RESET_TEMPERATURE = 0.5  # text sampled above this is not fed on as a prompt
TIMESTAMP_SECONDS = 0.02
FRAMES_PER_TIMESTAMP = 2  # mel frames

HEARD_MARGIN_SECONDS = 0.3  # live times may be early by this

TimedTokens = tuple[float, tuple[int, ...]]
"""Start in seconds and tokens of a word that the live pass has committed."""

Pause = Literal["working", "waiting"]
Walk = Generator[Pause, None, None]


@dataclass(frozen=True, slots=True)
class FinalModel:
    """What a final pass works with.

    Attributes:
        name: of the model.
        model: the loaded model.
        decoder: its decoder, at the precision that the result has.
        vocabulary: its tokenizers.
        sketcher: its decoder at a lower precision, if that is quicker. It writes each window's text first; ``decoder``
            then checks many tokens in one pass and corrects what it would have said otherwise.
        beam_size: 1 is greedy with temperature fallback.
    """

    name: str
    model: Whisper
    decoder: Decoder
    vocabulary: Vocabulary
    sketcher: Decoder | None = None
    beam_size: int = 1


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
    """

    parts: FinalModel
    recording: Recording
    options: SpeechOptions
    ended: bool = False
    seek: int = 0
    language: str | None = None
    heard: list[TimedTokens] = field(default_factory=list)
    _tokens: list[int] = field(default_factory=list)
    _prompt_length: int = 0
    _prompt_from: int = 0
    _segments: list[dict[str, Any]] = field(default_factory=list)
    _loudest: float = -10.0
    _last_speech: float = 0.0

    def ready(self) -> bool:
        """Whether there is something to do now: a whole window, or the rest of an ended recording."""
        return self.ended or len(self.recording) >= (self.seek + N_FRAMES + 2) * HOP_LENGTH

    def walk(self) -> Walk:
        """The pass, a small step at a time; yields "waiting" where it needs more audio. Run it in inference mode."""
        tokenizer: Tokenizer | None = None
        while True:
            while not self.ready():
                yield "waiting"
            content = len(self.recording) // HOP_LENGTH if self.ended else self.seek + N_FRAMES
            size = min(N_FRAMES, content - self.seek)
            if size <= 0:
                return
            mel = self._mel(size)
            states = yield from _working(encode(self.parts.model, mel))
            if tokenizer is None:
                self.language = self.options.language or self._detect(states)
                tokenizer = self.parts.vocabulary.tokenizer(self.language, self.options.task)
                self._set_prompt(tokenizer)
            result = yield from self._with_fallback(states, tokenizer)
            yield "working"
            if result.no_speech_prob > NO_SPEECH_THRESHOLD and result.avg_logprob <= LOGPROB_THRESHOLD:
                self.seek += size
                continue
            segments, ended_with_timestamp, advance = self._cut(result, tokenizer, size)
            window_start = self.seek
            self.seek += advance
            add_words(segments, self.parts.model, states, tokenizer, size, self._last_speech)
            self._keep(segments, result, window_start, ended_with_timestamp)

    def result(self) -> FinalText:
        """The transcript, once the walk is over."""
        tokenizer = self.parts.vocabulary.tokenizer(self.language, self.options.task)
        return FinalText(
            text=tokenizer.decode(self._tokens[self._prompt_length :]),
            language=self.language or self.options.language or "en",
            duration=len(self.recording) / SAMPLE_RATE,
            segments=tuple(_segment(i, segment) for i, segment in enumerate(self._segments)),
            model=self.parts.name,
        )

    def _mel(self, size: int) -> Tensor:
        model = self.parts.model
        power = log_mel_power(self.recording, self.seek, size, int(model.dims.n_mels), model.device)
        self._loudest = max(self._loudest, float(power.max()))
        mel = F.pad(normalized(power, self._loudest), (0, N_FRAMES - size))
        return mel.to(self.parts.decoder.dtype)

    def _detect(self, states: Tensor) -> str:
        vocabulary = self.parts.vocabulary
        if not vocabulary.multilingual:
            return "en"
        decoder = self.parts.decoder
        hidden = decoder.forward([decoder.row(decoder.cross_keys(states), 1)], [[vocabulary.any.sot]])[0]
        scores = decoder.logits(hidden)[0, vocabulary.language_tokens]
        return vocabulary.language_codes[int(scores.argmax())]

    def _set_prompt(self, tokenizer: Tokenizer) -> None:
        if self.options.prompt and self.options.prompt.strip():
            self._tokens = list(tokenizer.encode(" " + self.options.prompt.strip()))
            self._prompt_length = len(self._tokens)

    def _with_fallback(self, states: Tensor, tokenizer: Tokenizer) -> Generator[Pause, None, WindowResult]:
        parts = self.parts
        prompt = self._tokens[self._prompt_from :]
        cross = parts.decoder.cross_keys(states)
        expected: Sequence[int] = self._heard()
        if parts.sketcher is not None and parts.beam_size == 1:
            quick = parts.sketcher
            sketch = yield from _working(
                decode(quick, parts.vocabulary, quick.cross_keys(states), tokenizer, prompt, 0.0, expected)
            )
            expected = sketch.tokens
        for temperature in TEMPERATURES:
            if temperature == 0 and parts.beam_size > 1:
                result = self._beam(states, tokenizer, prompt)
            else:
                result = yield from _working(
                    decode(parts.decoder, parts.vocabulary, cross, tokenizer, prompt, temperature, expected)
                )
            repetitive = result.compression_ratio > COMPRESSION_RATIO_THRESHOLD
            unsure = result.avg_logprob < LOGPROB_THRESHOLD
            silent = unsure and result.no_speech_prob > NO_SPEECH_THRESHOLD
            if silent or not (repetitive or unsure):
                break
        return result

    def _heard(self) -> list[int]:
        """What the live pass has heard from here on; older words are forgotten."""
        begin = self.seek * HOP_LENGTH / SAMPLE_RATE - HEARD_MARGIN_SECONDS
        self.heard = [item for item in self.heard if item[0] >= begin]
        return [token for _, tokens in self.heard for token in tokens]

    def _beam(self, states: Tensor, tokenizer: Tokenizer, prompt: list[int]) -> WindowResult:
        options = DecodingOptions(
            task=self.options.task,
            language=tokenizer.language,
            beam_size=self.parts.beam_size,
            prompt=prompt,
            fp16=states.dtype == torch.float16,
        )
        found = self.parts.model.decode(states, options)
        return WindowResult(
            tuple(found.tokens), found.text, found.avg_logprob, found.no_speech_prob, 0.0, found.compression_ratio
        )

    def _cut(self, result: WindowResult, tokenizer: Tokenizer, size: int) -> tuple[list[dict[str, Any]], bool, int]:
        """Cut a window's tokens into segments at its timestamps.

        Returns:
            The segments, whether one timestamp alone ends the window, and how many frames the walk may advance.
        """
        tokens, begin = result.tokens, tokenizer.timestamp_begin
        stamps = [token >= begin for token in tokens]
        single_ending = stamps[-2:] == [False, True]
        cuts = [i for i in range(1, len(tokens)) if stamps[i] and stamps[i - 1]]
        offset = self.seek * HOP_LENGTH / SAMPLE_RATE
        if not cuts:
            last = next((token for token in reversed(tokens) if token >= begin), begin)
            seconds = (last - begin) * TIMESTAMP_SECONDS if last > begin else size / FRAMES_PER_SECOND
            return [self._new_segment(offset, offset + seconds, tokens, result, tokenizer)], single_ending, size
        if single_ending:
            cuts.append(len(tokens))
        segments, start = [], 0
        for cut in cuts:
            part = tokens[start:cut]
            first, last = (part[0] - begin) * TIMESTAMP_SECONDS, (part[-1] - begin) * TIMESTAMP_SECONDS
            segments.append(self._new_segment(offset + first, offset + last, part, result, tokenizer))
            start = cut
        advance = size if single_ending else (tokens[start - 1] - begin) * FRAMES_PER_TIMESTAMP
        return segments, single_ending, advance

    def _new_segment(
        self, start: float, end: float, tokens: tuple[int, ...], result: WindowResult, tokenizer: Tokenizer
    ) -> dict[str, Any]:
        return {
            "seek": self.seek,
            "start": start,
            "end": end,
            "text": tokenizer.decode([token for token in tokens if token < tokenizer.eot]),
            "tokens": list(tokens),
            "temperature": result.temperature,
            "avg_logprob": result.avg_logprob,
            "compression_ratio": result.compression_ratio,
            "no_speech_prob": result.no_speech_prob,
        }

    def _keep(
        self, segments: list[dict[str, Any]], result: WindowResult, window_start: int, single_ending: bool
    ) -> None:
        spoken = [segment for segment in segments if segment["words"]]
        last_word = spoken[-1]["words"][-1]["end"] if spoken else None
        if last_word is not None:
            if not single_ending and last_word > window_start * HOP_LENGTH / SAMPLE_RATE:
                self.seek = round(last_word * FRAMES_PER_SECOND)
            self._last_speech = last_word
        for segment in segments:
            if segment["start"] == segment["end"] or not segment["text"].strip():
                segment.update(text="", tokens=[], words=[])
            self._tokens.extend(segment["tokens"])
        self._segments.extend(segments)
        if result.temperature > RESET_TEMPERATURE:
            self._prompt_from = len(self._tokens)


T = TypeVar("T")


def _working(steps: Generator[None, None, T]) -> Generator[Pause, None, T]:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        yield "working"


def _segment(number: int, fields: dict[str, Any]) -> Segment:
    words = tuple(
        Word(word["word"], float(word["start"]), float(word["end"]), float(word["probability"]))
        for word in fields["words"]
    )
    return Segment(
        id=number,
        seek=fields["seek"],
        start=float(fields["start"]),
        end=float(fields["end"]),
        text=fields["text"],
        tokens=tuple(fields["tokens"]),
        temperature=fields["temperature"],
        avg_logprob=float(fields["avg_logprob"]),
        compression_ratio=float(fields["compression_ratio"]),
        no_speech_prob=float(fields["no_speech_prob"]),
        words=words,
    )
