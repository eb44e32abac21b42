"""Passes of the decoder over final windows: one window's, or those of several sessions together.

A final window is decoded in a few passes of some thirty tokens. On a GPU such a pass is a few hundred launches,
whatever the number of rows, so the windows of several sessions go through it side by side. A window's walk yields each
pass before it is done (``final/decode.py``); ``WalkInStep`` holds it until its answer is there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from openmic.speech.final.timestamp_rules import TimestampRules
from openmic.speech.model.decoder import Decoder, Row


@dataclass(frozen=True, slots=True, eq=False)
class WindowPass:
    """A pass that a window wants.

    Attributes:
        decoder: whose pass it is.
        rules: of the window.
        row: of the window.
        feed: tokens that are new to the row, at least one,
        guesses: and what may come behind them, to be checked.
        sampled: the window's tokens so far.
        temperature: 0 takes the likeliest tokens; more samples the next one.
        silence_at: which of ``feed`` tells whether anybody speaks; None: that is not asked.
    """

    decoder: Decoder
    rules: TimestampRules
    row: Row
    feed: Sequence[int]
    guesses: Sequence[int]
    sampled: tuple[int, ...]
    temperature: float
    silence_at: int | None

    @property
    def before(self) -> list[tuple[int, ...]]:
        """What was sampled before each place whose next token is asked for, were all guesses right."""
        return [(*self.sampled, *self.guesses[:count]) for count in range(len(self.guesses) + 1)]


@dataclass(frozen=True, slots=True)
class CheckedPass:
    """What a pass says.

    Attributes:
        tokens, logprobs: what comes behind ``feed`` and each guess; one counts only if those before it are right.
        likeliest: what would come there whatever was sampled before; empty where tokens are sampled.
        no_speech_prob: 0..1; 0 where it was not asked for.
    """

    tokens: list[int]
    logprobs: list[float]
    likeliest: list[int]
    no_speech_prob: float


Pause = Literal["working", "waiting"]
Walk = Generator[Pause | WindowPass, CheckedPass | None, None]


@dataclass(slots=True)
class WalkInStep:
    """A final pass that goes step by step with others.

    Attributes:
        walk: its generator.
        wanted: the pass that it waits for; None: it can go on.
        answer: to the pass before.
    """

    walk: Walk
    wanted: WindowPass | None = None
    answer: CheckedPass | None = None

    def advance(self) -> Pause:
        """Go on to the next pause.

        Raises:
            StopIteration: the walk is over.
        """
        given, self.answer = self.answer, None
        pause = self.walk.send(given)
        if isinstance(pause, WindowPass):
            self.wanted = pause
            return "working"
        return pause


def answer_together(walks: Sequence[WalkInStep]) -> None:
    """Do the passes that ``walks``, which have one decoder, wait for."""
    for walk, checked in zip(walks, answer([walk.wanted for walk in walks if walk.wanted]), strict=True):
        walk.wanted, walk.answer = None, checked


def walk_together(walks: Sequence[Walk]) -> Iterator[None]:
    """Go through final passes side by side, a step at a time; all their audio is there."""
    left = [WalkInStep(walk) for walk in walks]
    while left:
        going = [one for one in left if one.wanted is None]
        for one in going:
            try:
                one.advance()
            except StopIteration:
                left.remove(one)
        if not going:
            answer_together(left)
        yield


def answer(passes: Sequence[WindowPass]) -> list[CheckedPass]:
    """Do passes of one decoder, all in one; their numbers come in one copy to the host, but for sampled tokens."""
    decoder, rules = passes[0].decoder, passes[0].rules
    lengths = [one.row.length for one in passes]
    try:
        hidden = decoder.forward([one.row for one in passes], [[*one.feed, *one.guesses] for one in passes])
    except RuntimeError:
        for one, length in zip(passes, lengths, strict=True):
            one.row.length = length  # a part may be done, and all of it may be tried again
        raise
    silences = _silences(passes, hidden)
    ends = [states[len(one.feed) - 1 :] for one, states in zip(passes, hidden, strict=True)]
    greedy = [place for place, one in enumerate(passes) if one.temperature == 0]
    found: dict[int, CheckedPass] = {}
    if greedy:
        scores = decoder.logits(torch.cat([ends[place] for place in greedy]) if len(greedy) > 1 else ends[greedy[0]])
        choices = rules.choices(scores, [sampled for place in greedy for sampled in passes[place].before])
        tokens, logprobs, likeliest = torch.stack([side.float() for side in choices]).tolist()  # exact to 2**24
        first = 0
        for place in greedy:
            part = slice(first, first + len(ends[place]))
            first = part.stop
            found[place] = CheckedPass(
                [int(token) for token in tokens[part]],
                logprobs[part],
                [int(token) for token in likeliest[part]],
                silences[place],
            )
    for place, one in enumerate(passes):
        if place not in found:
            found[place] = _sampled(one, decoder.logits(ends[place])[0], silences[place])
    return [found[place] for place in range(len(passes))]


def _silences(passes: Sequence[WindowPass], hidden: Sequence[torch.Tensor]) -> list[float]:
    """How likely each window is silence, where that is asked for; else 0."""
    found = [0.0] * len(passes)
    asked = [(place, one.silence_at) for place, one in enumerate(passes) if one.silence_at is not None]
    if asked:
        decoder, rules = passes[0].decoder, passes[0].rules
        scores = decoder.logits(torch.stack([hidden[place][at] for place, at in asked])).softmax(dim=-1)
        for (place, _), probability in zip(asked, scores[:, rules.no_speech].tolist(), strict=True):
            found[place] = probability
    return found


def _sampled(one: WindowPass, scores: torch.Tensor, no_speech: float) -> CheckedPass:
    """The next token at a temperature, sampled on the host: the device's random numbers are everybody's."""
    one.rules.apply(scores, one.sampled)
    token = int(torch.multinomial((scores / one.temperature).softmax(dim=-1).cpu(), 1))
    return CheckedPass([token], [float(scores[token] - scores.logsumexp(dim=-1))], [], no_speech)
