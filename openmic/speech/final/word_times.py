"""When the words of a final window were said, from the attention with which its decoder said them.

The decoder has kept the queries of its alignment heads; dynamic time warping over their attention (as in
openai-whisper's ``timing.py``) puts every token to a moment, with no second pass. Timestamp tokens take part: they
attend to where a segment ends and the next begins, and so take up the pauses that would else be added to a word.

``whisper.transcribe`` goes on behind the last word, by its own times. Where that matters, ``reference_word_times``
gives these: one pass over the text alone, and openai-whisper's own rules over what its attention says.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from whisper.model import Whisper
from whisper.timing import WordTiming, add_word_timestamps, merge_punctuations
from whisper.tokenizer import Tokenizer

from openmic.speech.final.decode import Trace
from openmic.speech.model.alignment import first_states, smoothed
from openmic.speech.model.decoder import CrossAttentionKV, Decoder
from openmic.speech.model.units import MEL_FRAMES_PER_STATE, STATE_SECONDS

MEDIAN_WORD_SECONDS = 0.7  # at most; a segment's first word of more than twice the median has taken a pause in
PREPENDED = "\"'“¿([{-"  # punctuation that belongs to the word behind it,
APPENDED = "\"'.。,，!！?？:：”)]}、"  # and to the word before it, as in openai-whisper


def trace_tokens(decoder: Decoder, cross: CrossAttentionKV, tokenizer: Tokenizer, tokens: tuple[int, ...]) -> Trace:
    """The trace of a text that was found in another way, as by beam search: one pass over it."""
    row = decoder.row(cross)
    control = list(tokenizer.sot_sequence)
    hidden = decoder.forward([row], [[*control, *tokens][: decoder.context]])[0]
    logprobs = decoder.logits(hidden[len(control) - 1 :]).log_softmax(dim=-1)
    said = tokens[: len(logprobs)]
    return Trace(row, 0, len(control), tuple(float(logprobs[i, token]) for i, token in enumerate(said)))


def token_times(decoder: Decoder, trace: Trace, mel_frames: int) -> NDArray[np.float64]:
    """When each token of a window's text begins, and when the last one ends.

    Args:
        decoder: that said them.
        trace: of the window's text.
        mel_frames: of the window, those that hold audio.

    Returns:
        Seconds from the window's start, rising, shape (tokens + 1,).
    """
    count = len(trace.logprobs)
    states = mel_frames // MEL_FRAMES_PER_STATE
    if count == 0 or states == 0:
        return np.zeros(count + 1)
    matrix = smoothed(decoder.attention(trace.row, trace.start, states))
    matrix = matrix[trace.text_begin - 1 - trace.start :]  # row i: where token i was heard; the last: the end
    times = first_states(matrix) * STATE_SECONDS
    return np.pad(times, (0, max(0, count + 1 - len(times))), mode="edge")


def words_of_all(
    segments: list[dict[str, Any]], decoder: Decoder, trace: Trace, tokenizer: Tokenizer, mel_frames: int, begin: float
) -> list[list[WordTiming]]:
    """The words of each of a window's segments.

    Args:
        segments: with their tokens, in the order of the window's text.
        decoder: that said them.
        trace: of the window's text.
        tokenizer: of the window's language.
        mel_frames: of the window, those that hold audio.
        begin: the window's start; times are from where it counts, in seconds.
    """
    times = token_times(decoder, trace, mel_frames) + begin
    first, words = 0, []
    for segment in segments:
        words.append(words_of(segment["tokens"], first, times, trace, tokenizer))
        first += len(segment["tokens"])
    return words


def words_of(
    tokens: list[int], first: int, times: NDArray[np.float64], trace: Trace, tokenizer: Tokenizer
) -> list[WordTiming]:
    """The words of one segment, with times from the window's start.

    Args:
        tokens: of the segment, with its timestamps.
        first: place of ``tokens[0]`` in the window's text.
        times: of the window's tokens (``token_times``).
        trace: of the window's text.
        tokenizer: of the window's language.
    """
    places = [first + i for i, token in enumerate(tokens) if token < tokenizer.eot]
    texts, groups = tokenizer.split_to_word_tokens([token for token in tokens if token < tokenizer.eot])
    words, done = [], 0
    for text, group in zip(texts, groups, strict=True):
        own = places[done : done + len(group)]
        done += len(group)
        probability = float(np.exp([trace.logprobs[place] for place in own]).mean())
        words.append(WordTiming(text, list(group), float(times[own[0]]), float(times[own[-1] + 1]), probability))
    merge_punctuations(words, PREPENDED, APPENDED)
    words = [word for word in words if word.word]
    if words:
        said = [word.end - word.start for word in words if word.end > word.start]
        longest = 2 * min(MEDIAN_WORD_SECONDS, float(np.median(said))) if said else 0.0
        words[0].start = max(words[0].start, words[0].end - longest)  # before it is a pause
    return words


def reference_word_times(
    segments: list[dict[str, Any]],
    model: Whisper,
    decoder: Decoder,
    cross: CrossAttentionKV,
    tokenizer: Tokenizer,
    mel_frames: int,
    last_speech: float,
) -> list[dict[str, Any]]:
    """The segments with the words and times that ``whisper.transcribe`` would give them.

    Args:
        segments: of the window; they stay as they are.
        model: whose alignment heads are used.
        decoder: of this model, at the precision of the result.
        cross: keys and values of the window's encoder states.
        tokenizer: of the window's language and task.
        mel_frames: of the window, those that hold audio.
        last_speech: seconds at which the last word before the window ended.
    """
    found = copy.deepcopy(segments)

    def find_alignment(
        _model: Whisper, tokenizer: Tokenizer, text_tokens: list[int], _mel: Tensor, mel_frames: int
    ) -> list[WordTiming]:
        return _reference_alignment(decoder, cross, tokenizer, text_tokens, mel_frames)

    _with_alignment(find_alignment)(
        segments=found,
        model=model,
        tokenizer=tokenizer,
        mel=torch.empty(0, device=decoder.device),
        num_frames=mel_frames,
        last_speech_timestamp=last_speech,
    )
    return found


def _reference_alignment(
    decoder: Decoder, cross: CrossAttentionKV, tokenizer: Tokenizer, text_tokens: list[int], mel_frames: int
) -> list[WordTiming]:
    """What ``whisper.timing.find_alignment`` finds, without its hooks; of the words' probabilities nobody asks."""
    texts, groups = tokenizer.split_to_word_tokens([*text_tokens, tokenizer.eot])
    if len(groups) <= 1:
        return []
    control = tokenizer.sot_sequence
    row = decoder.row(cross)
    decoder.forward([row], [[*control, tokenizer.no_timestamps, *text_tokens, tokenizer.eot]])
    matrix = smoothed(decoder.attention(row, 0, mel_frames // MEL_FRAMES_PER_STATE))[len(control) : -1]
    times = first_states(matrix) * STATE_SECONDS
    begins = np.cumsum([0, *(len(group) for group in groups[:-1])])
    return [
        WordTiming(text, list(group), float(times[first]), float(times[last]), 0.0)
        for text, group, first, last in zip(texts[:-1], groups[:-1], begins, begins[1:], strict=False)
    ]


def _with_alignment(find_alignment: Callable[..., list[WordTiming]]) -> Callable[..., None]:
    """openai-whisper's ``add_word_timestamps`` over another alignment; for everybody else it stays as it is."""
    original = add_word_timestamps
    names = original.__globals__ | {"find_alignment": find_alignment}
    rebound = FunctionType(original.__code__, names, closure=original.__closure__)
    rebound.__kwdefaults__ = original.__kwdefaults__
    return rebound
