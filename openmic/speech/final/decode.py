"""Decode one 30 s window as ``whisper.decode`` does, in pieces small enough to let live steps in between.

Greedy decoding with timestamps, openai-whisper's token rules, and sampling for temperatures above 0. The text is
openai-whisper's token for token (``tests/speech/model/test_decoder.py``); what differs is that each pass of the decoder
is a step of a generator.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from whisper.tokenizer import Tokenizer
from whisper.utils import compression_ratio

from openmic.speech.final.draft import Draft
from openmic.speech.model.decoder import CrossAttentionKV, Decoder, Row
from openmic.speech.model.tokens import Vocabulary

MOST_DRAFT = 32  # expected tokens that are checked in one pass,
LEAST_DRAFT = 8  # where the draft has lost its place
MAX_INITIAL_TIMESTAMP = 50  # a window's first timestamp is at most 1.0 s in, in units of 0.02 s


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


class TimestampRules:
    """Which tokens may come next where timestamps are wanted.

    As in the section on decoding of the Whisper paper (A. Radford et al. 2022): timestamps come in pairs except before
    the end, never fall, and win where together they are likelier than any one word.

    Args:
        tokenizer: of the window's language and task.
        vocabulary: for the tokens that are never sampled.
        device: of the scores.
    """

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary, device: torch.device) -> None:
        self.begin = int(tokenizer.timestamp_begin)
        self.eot = int(tokenizer.eot)
        self._never = torch.tensor(vocabulary.never, device=device)
        self._blank = torch.tensor([*vocabulary.blank, self.eot], device=device)

    def apply(self, logits: Tensor, sampled: Sequence[int]) -> None:
        """Set forbidden scores to -inf in ``logits``, shape (n_vocab,), given the tokens sampled so far."""
        logits[self._never] = -torch.inf
        self._forbid(logits, sampled)
        if logits[self.begin :].logsumexp(dim=-1) > logits[: self.begin].max():
            logits[: self.begin] = -torch.inf

    def likeliest(self, logits: Tensor) -> Tensor:
        """What each of ``logits``, shape (n, n_vocab), would say, whatever was sampled before; shape (n,), int64."""
        words = logits[:, : self.eot].max(dim=-1)
        stamps = logits[:, self.begin :]
        stamped = stamps.logsumexp(dim=-1) > words.values
        return torch.where(stamped, self.begin + stamps.argmax(dim=-1), words.indices)

    def choices(
        self, logits: Tensor, sampled: Sequence[int], guesses: Sequence[int]
    ) -> tuple[list[int], list[float], list[int]]:
        """What comes at each place of a pass, for all of them at once, and in one copy to the host.

        Args:
            logits: shape (guesses + 1, n_vocab); forbidden ones are set to -inf.
            sampled: tokens before the pass.
            guesses: what was fed behind them; a place counts only if those before it are right.

        Returns:
            For each place the likeliest token that may come there, its log-probability, and ``likeliest``.
        """
        anyway = self.likeliest(logits)
        logits[:, self._never] = -torch.inf
        for place, scores in enumerate(logits):
            self._forbid(scores, [*sampled, *guesses[:place]])
        words, stamps = logits[:, : self.begin].max(dim=-1), logits[:, self.begin :]
        best, mass = stamps.max(dim=-1), stamps.logsumexp(dim=-1)
        stamped = mass > words.values
        tokens = torch.where(stamped, self.begin + best.indices, words.indices)
        logprobs = torch.where(stamped, best.values - mass, words.values - logits.logsumexp(dim=-1))
        numbers = torch.cat([tokens.float(), logprobs, anyway.float()]).tolist()  # exact to 2**24
        count = len(logits)
        return (
            [int(token) for token in numbers[:count]],
            numbers[count : 2 * count],
            [int(token) for token in numbers[2 * count :]],
        )

    def _forbid(self, logits: Tensor, sampled: Sequence[int]) -> None:
        """The rules that depend on what was sampled."""
        if not sampled:
            logits[self._blank] = -torch.inf
        if sampled and sampled[-1] >= self.begin:
            if len(sampled) < 2 or sampled[-2] >= self.begin:
                logits[self.begin :] = -torch.inf
            else:
                logits[: self.eot] = -torch.inf
        last = next((token for token in reversed(sampled) if token >= self.begin), None)
        if last is not None:
            opens = sampled[-1] >= self.begin and not (len(sampled) < 2 or sampled[-2] >= self.begin)
            logits[self.begin : last + (0 if opens else 1)] = -torch.inf
        if not sampled:
            logits[: self.begin] = -torch.inf
            logits[self.begin + MAX_INITIAL_TIMESTAMP + 1 :] = -torch.inf


def decode(
    decoder: Decoder,
    vocabulary: Vocabulary,
    cross: CrossAttentionKV,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    temperature: float,
    expected: Sequence[int] = (),
) -> Generator[None, None, WindowResult]:
    """Sample one window's tokens, a pass of the decoder a step.

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
    first, guesses = True, draft.next(min(MOST_DRAFT, most - 1))
    while len(sampled) < most:
        fed = row.length + len(feed)
        hidden = decoder.forward([row], [[*feed, *guesses]])[0]
        if first:
            no_speech = float(decoder.logits(hidden[[len(before)]])[0].softmax(dim=-1)[tokenizer.no_speech])
            first = False
        scores = decoder.logits(hidden[len(feed) - 1 :])
        likeliest: list[int] = []
        if temperature == 0:
            tokens, scored, likeliest = rules.choices(scores, sampled, guesses)
        else:  # sampled on the host: the device's random numbers are everybody's
            rules.apply(scores[0], sampled)
            tokens = [int(torch.multinomial((scores[0] / temperature).softmax(dim=-1).cpu(), 1))]
            scored = [float(scores[0, tokens[0]] - scores[0].logsumexp(dim=-1))]
        for place, (token, logprob) in enumerate(zip(tokens, scored, strict=True)):
            logprobs.append(logprob)
            if token == rules.eot:
                most = 0
                break
            sampled.append(token)
            draft.follow(token)
            row.length = fed + place
            if len(sampled) >= most or guesses[place : place + 1] != [token]:
                break
        draft.learn(place, likeliest[place + 1 :])
        span = LEAST_DRAFT if place == 0 and token < rules.begin else MOST_DRAFT
        feed = sampled[-1:]
        guesses = draft.next(min(span, most - len(sampled), context - row.length - 1)) if most else []
        yield
    text = tokenizer.decode(sampled).strip()
    average = sum(logprobs) / (len(sampled) + 1)
    trace = Trace(row, len(before), said, tuple(logprobs[: len(sampled)]))
    return WindowResult(tuple(sampled), text, average, no_speech, temperature, compression_ratio(text), trace)
