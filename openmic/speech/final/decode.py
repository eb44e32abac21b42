"""Decode one 30 s window as ``whisper.decode`` does, in pieces small enough to let live steps in between.

Greedy decoding with timestamps, openai-whisper's token rules, and sampling for temperatures above 0. The text is
openai-whisper's token for token (``tests/speech/model/test_decoder.py``); what differs is that each pass of the decoder
is a step of a generator.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from whisper.tokenizer import Tokenizer
from whisper.utils import compression_ratio

from openmic.speech.final.draft import Draft
from openmic.speech.final.passes import CheckedPass, WindowPass, answer
from openmic.speech.final.timestamp_rules import TimestampRules
from openmic.speech.model.decoder import CrossAttentionKV, Decoder, Row
from openmic.speech.model.tokens import Vocabulary

MOST_DRAFT = 32  # expected tokens that are checked in one pass,
LEAST_DRAFT = 8  # where the draft has lost its place


@dataclass(frozen=True, slots=True)
class Trace:
    """A decoder's state after it has said a window's text: where each word was heard can be read from it.

    Attributes:
        row: fed with what came before the window's text, and with the text.
        start: place of the start-of-transcript token in it.
        text_begin: place of the first token of the text.
        logprobs: of each token of the text.
    """

    row: Row
    start: int
    text_begin: int
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What one window said; the fields of ``whisper.DecodingResult``, and the decoder's trace."""

    tokens: tuple[int, ...]
    text: str
    avg_logprob: float
    no_speech_prob: float
    temperature: float
    compression_ratio: float
    trace: Trace


def decode(
    decoder: Decoder,
    vocabulary: Vocabulary,
    cross: CrossAttentionKV,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    temperature: float,
    expected: Sequence[int] = (),
) -> Generator[WindowPass, CheckedPass | None, WindowResult]:
    """Sample one window's tokens, a pass of the decoder a step.

    Each pass is yielded before it is done. A caller that drives several windows may do their passes together and send
    each its answer; a window that is sent none does its pass alone.

    Args:
        decoder: at the precision wanted.
        vocabulary: of the model.
        cross: keys and values of the window's encoder states.
        tokenizer: of the window's language and task.
        prompt: text tokens before the window; the newest 223 are used.
        temperature: 0 takes the likeliest token, more samples.
        expected: tokens that are likely to be said, with or without timestamps; they save passes and change nothing.
    """
    rules = TimestampRules(tokenizer, vocabulary, decoder.device)
    draft = Draft(tokenizer, expected if temperature == 0 else ())
    context = decoder.context
    before = [tokenizer.sot_prev, *prompt[-(context // 2 - 1) :]] if prompt else []
    feed = [*before, *tokenizer.sot_sequence]
    row = decoder.row(cross)
    said = len(feed)
    sampled: list[int] = []
    logprobs: list[float] = []
    no_speech = 0.0
    most = min(context // 2, context + 1 - len(feed))  # tokens, as openai-whisper's sample_len and context allow
    silence_at: int | None = len(before)
    guesses = draft.next(min(MOST_DRAFT, most - 1))
    while len(sampled) < most:
        fed = row.length + len(feed)
        wanted = WindowPass(decoder, rules, row, feed, guesses, tuple(sampled), temperature, silence_at)
        checked = yield wanted
        if checked is None:
            checked = answer([wanted])[0]
        if silence_at is not None:
            no_speech, silence_at = checked.no_speech_prob, None
        for place, (token, logprob) in enumerate(zip(checked.tokens, checked.logprobs, strict=True)):
            logprobs.append(logprob)
            if token == rules.eot:
                most = 0
                break
            sampled.append(token)
            draft.follow(token)
            row.length = fed + place
            if len(sampled) >= most or guesses[place : place + 1] != [token]:
                break
        draft.learn(place, checked.likeliest[place + 1 :])
        span = LEAST_DRAFT if place == 0 and token < rules.begin else MOST_DRAFT
        feed = sampled[-1:]
        guesses = draft.next(min(span, most - len(sampled), context - row.length - 1)) if most else []
    text = tokenizer.decode(sampled).strip()
    average = sum(logprobs) / (len(sampled) + 1)
    trace = Trace(row, len(before), said, tuple(logprobs[: len(sampled)]))
    return WindowResult(tuple(sampled), text, average, no_speech, temperature, compression_ratio(text), trace)
