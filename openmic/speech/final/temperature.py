"""What is said in one window: its language, and its text at the first temperature that gives a good one.

As in ``whisper.transcribe``: greedy, or beam search, at temperature 0; a text that repeats itself or that the model is
unsure of is sampled again at higher ones (section 4.5 of the Whisper paper, A. Radford et al., 2022). Where all of them
fail, the likeliest text counts.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from whisper.decoding import DecodingOptions
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer

from openmic.speech.final.decode import WindowResult, decode
from openmic.speech.final.passes import CheckedPass, WindowPass
from openmic.speech.final.word_times import trace_tokens
from openmic.speech.model.decoder import CrossAttentionKV, Decoder
from openmic.speech.model.full_encoder import FullEncoder
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.model.units import LOGPROB_THRESHOLD, NO_SPEECH_THRESHOLD
from openmic.speech.types import Task

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
GREEDY = TEMPERATURES[:1]
COMPRESSION_RATIO_THRESHOLD = 2.4  # above: too repetitive, try a higher temperature


@dataclass(frozen=True, slots=True)
class FinalModel:
    """What a final pass works with.

    Attributes:
        name: of the model.
        model: the loaded model.
        encoder: its encoder, at the precision that the result has.
        decoder: its decoder, at the precision that the result has.
        vocabulary: its tokenizers.
        sketcher: its decoder at a lower precision, if that is quicker. It writes a window's text first where the
            live pass has not; what ``decoder`` would say otherwise counts.
        beam_size: 1 is greedy with temperature fallback.
    """

    name: str
    model: Whisper
    encoder: FullEncoder
    decoder: Decoder
    vocabulary: Vocabulary
    sketcher: Decoder | None = None
    beam_size: int = 1


def detect_language(parts: FinalModel, asked: str | None, cross: CrossAttentionKV) -> tuple[str, float]:
    """A window's language and how sure that is, 0..1; the one ``asked`` for, if one was."""
    return likely_languages(parts, asked, cross)[0]


def likely_languages(parts: FinalModel, asked: str | None, cross: CrossAttentionKV) -> list[tuple[str, float]]:
    """A window's two likeliest languages and their probabilities, the likelier first; one, if it was ``asked`` for."""
    vocabulary, decoder = parts.vocabulary, parts.decoder
    if asked is not None or not vocabulary.multilingual:
        return [(asked or "en", 1.0)]
    hidden = decoder.forward([decoder.row(cross, 1)], [[vocabulary.any.sot]])[0]
    found = decoder.logits(hidden)[0, vocabulary.language_tokens].softmax(dim=-1).topk(2)
    return [
        (vocabulary.language_codes[place], probability)
        for place, probability in zip(found.indices.tolist(), found.values.tolist(), strict=True)
    ]


def transcribe_window(
    parts: FinalModel,
    task: Task,
    states: Tensor,
    cross: CrossAttentionKV,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    expected: Sequence[int],
    sketched: bool,
    temperatures: Sequence[float] = TEMPERATURES,
) -> Generator[WindowPass, CheckedPass | None, WindowResult]:
    """Transcribe a window, a small step at a time.

    Args:
        parts: the model.
        task: transcribe or translate.
        states: of the encoder, shape (1500, n_audio_state).
        cross: their keys and values.
        tokenizer: of the window's language and task.
        prompt: tokens before the window.
        expected: tokens that are likely to be said.
        sketched: they are few: have the quicker decoder write the text first, where there is one.
        temperatures: tried in turn, until one gives a text that is neither repetitive nor unsure.
    """
    quick = parts.sketcher
    if sketched and quick is not None and parts.beam_size == 1:
        sketch = yield from decode(
            quick, parts.vocabulary, quick.cross_attention_kv(states), tokenizer, prompt, 0.0, expected
        )
        expected = sketch.tokens
    tries: list[WindowResult] = []
    for temperature in temperatures:
        if temperature == 0 and parts.beam_size > 1:
            result = _beam(parts, task, states, cross, tokenizer, prompt)
        else:
            result = yield from decode(parts.decoder, parts.vocabulary, cross, tokenizer, prompt, temperature, expected)
        silent = result.avg_logprob < LOGPROB_THRESHOLD and result.no_speech_prob > NO_SPEECH_THRESHOLD
        if silent or not failed(result):
            return result
        tries.append(result)
    return likeliest(tries)


def likeliest(tries: Sequence[WindowResult]) -> WindowResult:
    """Of tries that all failed the likeliest that does not repeat itself; if all do, the last.

    ``whisper.transcribe`` keeps the last, the most random of all: for a word of half a second, of which greedy decoding
    is nearly sure (-1.03), one with -5.
    """
    several = [one for one in tries if one.compression_ratio <= COMPRESSION_RATIO_THRESHOLD]
    return max(several, key=lambda one: one.avg_logprob, default=tries[-1])


def failed(result: WindowResult) -> bool:
    """Whether a text is so repetitive or so unlikely that a higher temperature is worth a try."""
    return result.compression_ratio > COMPRESSION_RATIO_THRESHOLD or result.avg_logprob < LOGPROB_THRESHOLD


def _beam(
    parts: FinalModel, task: Task, states: Tensor, cross: CrossAttentionKV, tokenizer: Tokenizer, prompt: Sequence[int]
) -> WindowResult:
    """openai-whisper's own beam search, in one long step."""
    options = DecodingOptions(
        task=task,
        language=tokenizer.language,
        beam_size=parts.beam_size,
        prompt=list(prompt),
        suppress_tokens=[*parts.vocabulary.never],  # a copy, to which whisper adds its own
        fp16=states.dtype == torch.float16,
    )
    found = parts.model.decode(states, options)
    tokens = tuple(found.tokens)
    trace = trace_tokens(parts.decoder, cross, tokenizer, tokens)
    return WindowResult(
        tokens, found.text, found.avg_logprob, found.no_speech_prob, 0.0, found.compression_ratio, trace
    )
