"""When the words of a final window were said, from the attention with which its decoder said them.

The decoder has kept the queries of its alignment heads; dynamic time warping over their attention (as in
openai-whisper's ``timing.py``) puts every token to a moment, with no second pass. Timestamp tokens take part: they
attend to where a segment ends and the next begins, and so take up the pauses that would else be added to a word.

``whisper.transcribe`` goes on behind the last word, by its own times. Where that matters, ``reference_word_times``
gives these: one pass over the text alone, for ``whisper.timing`` to work with.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import whisper.timing
from numpy.typing import NDArray
from torch import Tensor, nn
from whisper.model import Whisper
from whisper.timing import WordTiming, add_word_timestamps, dtw_cpu, merge_punctuations
from whisper.tokenizer import Tokenizer

from openmic.speech.final.decode import Trace
from openmic.speech.model.alignment import WIDTH, first_states, median_filtered, smoothed
from openmic.speech.model.decoder import CrossAttentionKV, Decoder

STATE_SECONDS = 0.02  # of one encoder state
FRAMES_PER_STATE = 2  # mel frames
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


def token_times(decoder: Decoder, trace: Trace, frames: int) -> NDArray[np.float64]:
    """When each token of a window's text begins, and when the last one ends.

    Args:
        decoder: that said them.
        trace: of the window's text.
        frames: mel frames of the window that hold audio.

    Returns:
        Seconds from the window's start, rising, shape (tokens + 1,).
    """
    count = len(trace.logprobs)
    states = frames // FRAMES_PER_STATE
    if count == 0 or states == 0:
        return np.zeros(count + 1)
    matrix = smoothed(decoder.attention(trace.row, trace.start, states))
    matrix = matrix[trace.text_begin - 1 - trace.start :]  # row i: where token i was heard; the last: the end
    times = first_states(matrix) * STATE_SECONDS
    return np.pad(times, (0, max(0, count + 1 - len(times))), mode="edge")


def words_of_all(
    segments: list[dict[str, Any]], decoder: Decoder, trace: Trace, tokenizer: Tokenizer, frames: int, begin: float
) -> list[list[WordTiming]]:
    """The words of each of a window's segments.

    Args:
        segments: with their tokens, in the order of the window's text.
        decoder: that said them.
        trace: of the window's text.
        tokenizer: of the window's language.
        frames: mel frames of the window that hold audio.
        begin: the window's start; times are from where it counts, in seconds.
    """
    times = token_times(decoder, trace, frames) + begin
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
    frames: int,
    last_speech: float,
) -> list[dict[str, Any]]:
    """The segments with the words and times that ``whisper.transcribe`` would give them.

    Args:
        segments: of the window; they stay as they are.
        model: whose alignment heads are used.
        decoder: of this model, at the precision of the result.
        cross: keys and values of the window's encoder states.
        tokenizer: of the window's language and task.
        frames: mel frames of the window that hold audio.
        last_speech: seconds at which the last word before the window ended.
    """
    told = copy.deepcopy(segments)
    add_word_timestamps(
        segments=told,
        model=_Heads(model, decoder, cross),
        tokenizer=tokenizer,
        mel=torch.empty(0, device=decoder.device),
        num_frames=frames,
        last_speech_timestamp=last_speech,
    )
    return told


def _median_filter(x: Tensor, filter_width: int) -> Tensor:
    """Stands for ``whisper.timing.median_filter``; the same values."""
    return median_filtered(x) if filter_width == WIDTH and x.ndim == 3 else _WHISPERS_FILTER(x, filter_width)


def _dtw(x: Tensor) -> NDArray[np.int64]:
    """Stands for ``whisper.timing.dtw``, which on a GPU compiles a kernel for seconds while everybody waits."""
    path: NDArray[np.int64] = dtw_cpu(x.double().cpu().numpy())
    return path


_WHISPERS_FILTER = whisper.timing.median_filter
whisper.timing.median_filter = _median_filter  # its sort takes a third of the time that its word times take
whisper.timing.dtw = _dtw


class _Attention(nn.Module):
    """Stands where ``whisper.timing`` looks for a layer's cross-attention weights."""

    def forward(self, weights: Tensor) -> tuple[None, tuple[Tensor]]:
        return None, (weights,)


class _Block:
    def __init__(self) -> None:
        self.cross_attn = _Attention()


class _Blocks:
    def __init__(self, layers: int) -> None:
        self.blocks = [_Block() for _ in range(layers)]


class _Heads:
    """As much of a model as ``whisper.timing`` needs, over a window whose keys and values are there already."""

    def __init__(self, model: Whisper, decoder: Decoder, cross: CrossAttentionKV) -> None:
        self.dims, self.device, self.alignment_heads = model.dims, model.device, model.alignment_heads
        self.decoder = _Blocks(int(model.dims.n_text_layer))
        self._own, self._cross = decoder, cross

    def __call__(self, mel: Tensor, tokens: Tensor) -> Tensor:
        """Attention of all tokens, as a layer's hook gets it; the scores, which times do not need, are all equal."""
        row = self._own.row(self._cross)
        self._own.forward([row], [tokens[0].tolist()])
        attention = self._own.attention(row, 0, self._cross.frames).log()
        places = iter(attention)
        for layer, block in enumerate(self.decoder.blocks):
            heads = self._own.alignment_heads.get(layer)
            if heads is not None:
                weights = torch.zeros(self._own.heads, *attention.shape[1:], device=self.device)
                for head in heads:
                    weights[head] = next(places)
                block.cross_attn(weights)
        return torch.zeros(1, device=self.device).expand(1, tokens.shape[1], int(self.dims.n_vocab))
