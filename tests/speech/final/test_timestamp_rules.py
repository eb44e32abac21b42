"""Which tokens may come next: openai-whisper's rules, place by place and for many places at once."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from whisper.decoding import ApplyTimestampRules, SuppressTokens
from whisper.tokenizer import Tokenizer

from openmic.speech.final.timestamp_rules import MAX_INITIAL_TIMESTAMP, TimestampRules
from openmic.speech.model.tokens import Vocabulary
from tests.support.operations import Operations

WORDS = 51_865  # base's vocabulary
DIMS = SimpleNamespace(is_multilingual=True, num_languages=99, dims=SimpleNamespace(n_text_layer=6, n_audio_layer=6))


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    model: Any = DIMS
    return Vocabulary(model)


@pytest.fixture(scope="module")
def tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    return vocabulary.tokenizer("en", "transcribe")


@pytest.fixture(scope="module")
def rules(tokenizer: Tokenizer, vocabulary: Vocabulary) -> TimestampRules:
    return TimestampRules(tokenizer, vocabulary, torch.device("cpu"))


def histories(begin: int) -> list[list[int]]:
    """What may have been sampled: nothing, words, open and closed segments, and long ones by chance."""
    chance = random.Random(1)
    found = [[], [begin], [begin, 440], [begin, 440, begin + 50], [begin, 440, begin + 50, begin + 50], [440, 441]]
    for _ in range(20):
        tokens, at = [begin], 0
        for _ in range(chance.randrange(1, 12)):
            if chance.random() < 0.6:
                tokens.append(chance.randrange(50_000))
            elif tokens[-1] < begin:
                at += chance.randrange(1, 60)
                tokens += [begin + at] * chance.choice((1, 2))
        found.append(tokens)
    return found


def test_they_are_openai_whispers(rules: TimestampRules, tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
    generator = torch.Generator().manual_seed(0)
    timestamps = ApplyTimestampRules(tokenizer, 0, MAX_INITIAL_TIMESTAMP)
    for sampled in histories(rules.begin):
        scores = 4 * torch.randn(WORDS, generator=generator)
        theirs = scores[None].clone()
        SuppressTokens(vocabulary.never).apply(theirs, torch.tensor([sampled]))
        timestamps.apply(theirs, torch.tensor([sampled], dtype=torch.int64))
        ours = scores.clone()
        rules.apply(ours, sampled)
        assert torch.equal(ours, theirs[0])


def test_many_places_at_once_are_the_places_one_by_one(rules: TimestampRules) -> None:
    before = histories(rules.begin)
    scores = torch.randn(len(before), WORDS, generator=torch.Generator().manual_seed(2))
    alone, together = scores.clone(), scores.clone()
    rules._forbid(alone, before)
    rules.forbid_together(together, before)
    assert torch.equal(alone, together)
    tokens, logprobs, _ = rules.choices(scores.clone(), before)
    for place, sampled in enumerate(before):
        one = scores[place].clone()
        rules.apply(one, sampled)
        assert int(tokens[place]) == int(one.argmax())
        assert float(logprobs[place]) == pytest.approx(float(one.log_softmax(dim=-1).max()), abs=1e-4)


def test_many_places_at_once_are_a_few_operations(rules: TimestampRules) -> None:
    """Place by place, a pass of 33 tokens was over a hundred launches for the rules alone."""
    before = histories(rules.begin)
    counts = []
    for number in (4, len(before)):
        with Operations() as done:
            rules.forbid_together(torch.zeros(number, WORDS), before[:number])
        counts.append(done.total)
    assert counts[0] == counts[1] < 12


def test_what_is_never_said_is_put_on_a_device_once(vocabulary: Vocabulary) -> None:
    device = torch.device("cpu")
    assert vocabulary.never_on(device) is vocabulary.never_on(device)
