"""Which tokens may come next in a final window, as openai-whisper has it, for many places at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from whisper.tokenizer import Tokenizer

from openmic.speech.model.tokens import Vocabulary
from openmic.speech.model.upload import on_device

MAX_INITIAL_TIMESTAMP = 50  # a window's first timestamp is at most 1.0 s in, in units of 0.02 s
MOST_SPANS = 2  # of forbidden tokens at one place


class TimestampRules:
    """Which tokens may come next where timestamps are wanted.

    As in the section on decoding of the Whisper paper (A. Radford et al. 2022): timestamps come in pairs except before
    the end, never fall, and win where together they are likelier than any one word.

    Args:
        tokenizer: of the window's language and task.
        vocabulary: for the tokens that are never sampled.
        device: of the scores.

    Attributes:
        begin: the first timestamp token, ``eot``: the end token, ``no_speech``: the token that stands for silence. They
            are the same for all languages of a model.
    """

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary, device: torch.device) -> None:
        self.begin = int(tokenizer.timestamp_begin)
        self.eot = int(tokenizer.eot)
        self.no_speech = int(tokenizer.no_speech)
        self._never = vocabulary.never_on(device)

    def apply(self, scores: Tensor, sampled: Sequence[int]) -> None:
        """Set forbidden scores to -inf in ``scores``, shape (n_vocab,), given the tokens sampled so far."""
        scores[self._never] = -torch.inf
        for first, last in self.forbidden(sampled, len(scores)):
            scores[first:last] = -torch.inf
        if scores[self.begin :].logsumexp(dim=-1) > scores[: self.begin].max():
            scores[: self.begin] = -torch.inf

    def choices(self, scores: Tensor, before: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """What comes at each of many places, of one window or of several.

        Args:
            scores: shape (places, n_vocab); forbidden ones are set to -inf.
            before: the tokens sampled before each place.

        Returns:
            For each place, shape (places,): the likeliest token that may come there, its log-probability, and the token
            that would be likeliest whatever was sampled before.
        """
        words, stamps = scores[:, : self.eot].max(dim=-1), scores[:, self.begin :]
        stamped = stamps.logsumexp(dim=-1) > words.values
        anyway = torch.where(stamped, self.begin + stamps.argmax(dim=-1), words.indices)
        scores[:, self._never] = -torch.inf
        self._forbid(scores, before)
        words = scores[:, : self.begin].max(dim=-1)
        best, mass = stamps.max(dim=-1), stamps.logsumexp(dim=-1)
        stamped = mass > words.values
        tokens = torch.where(stamped, self.begin + best.indices, words.indices)
        logprobs = torch.where(stamped, best.values - mass, words.values - scores.logsumexp(dim=-1))
        return tokens, logprobs, anyway

    def forbidden(self, sampled: Sequence[int], words: int) -> list[tuple[int, int]]:
        """Spans of tokens that may not come behind ``sampled``, each its first and the one behind its last.

        Args:
            sampled: the window's tokens so far.
            words: how many tokens there are in all.
        """
        if not sampled:
            return [(0, self.begin), (self.begin + MAX_INITIAL_TIMESTAMP + 1, words)]
        spans = []
        stamped = sampled[-1] >= self.begin
        opened = stamped and (len(sampled) < 2 or sampled[-2] >= self.begin)
        if opened:
            spans.append((self.begin, words))
        elif stamped:
            spans.append((0, self.eot))
        last = next((token for token in reversed(sampled) if token >= self.begin), None)
        if last is not None:
            spans.append((self.begin, last + (0 if stamped and not opened else 1)))
        return spans

    def _forbid(self, scores: Tensor, before: Sequence[Sequence[int]]) -> None:
        """Set what may not come at each place to -inf."""
        if scores.device.type != "cpu":
            self.forbid_together(scores, before)
            return
        for row, sampled in zip(scores, before, strict=True):  # a few spans cost less than a look at every score
            for first, last in self.forbidden(sampled, len(row)):
                row[first:last] = -torch.inf

    def forbid_together(self, scores: Tensor, before: Sequence[Sequence[int]]) -> None:
        """The same in a few operations, however many places: each is a launch on a GPU."""
        words = scores.shape[-1]
        spans = np.zeros((len(before), MOST_SPANS, 2), np.int64)
        for place, sampled in zip(spans, before, strict=True):
            found = self.forbidden(sampled, words)
            place[: len(found)] = np.reshape(found, (-1, 2))
        bounds = on_device(spans, scores.device)
        token = torch.arange(words, device=scores.device)
        inside = (token >= bounds[..., :1]) & (token < bounds[..., 1:])
        scores.masked_fill_(inside.any(dim=1), -torch.inf)
