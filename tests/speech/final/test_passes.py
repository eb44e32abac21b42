"""Final windows side by side say what each says alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.final.decode import decode
from openmic.speech.final.passes import CheckedPass, WalkInStep, WindowPass, answer, answer_together, walk_together
from openmic.speech.final.timestamp_rules import TimestampRules
from openmic.speech.final.walk import FinalModel, FinalPass
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.model.full_encoder import FullEncoder
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.types import FinalText, SpeechOptions
from tests.support.clip import Clip
from tests.support.small_whisper import small_whisper


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.mark.slow
def test_walks_side_by_side_give_the_texts_of_walks_alone(
    base_model: Any, sample_audio: Path, load_audio: Callable[[Path], Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of different lengths, with drafts and without, in as many passes as the longest one needs."""
    samples = load_audio(sample_audio / "quickstart.wav")
    decoder = BatchedDecoder(base_model, "float32", (0, 3))
    parts = FinalModel("base", base_model, FullEncoder(base_model, "float32"), decoder, Vocabulary(base_model))
    clips = [Clip(samples[: round(seconds * SAMPLE_RATE)]) for seconds in (4.0, 9.0, 2.5)]
    passes: list[int] = []
    forward = decoder.forward

    def noted(rows: Any, tokens: Any) -> Any:
        passes.append(len(rows))
        return forward(rows, tokens)

    monkeypatch.setattr(decoder, "forward", noted)
    alone: list[FinalText] = []
    for clip in clips:
        one = FinalPass(parts, clip, SpeechOptions("en"), ended=True)
        for _ in one.walk():
            pass
        alone.append(one.result())
    single, passes[:] = len(passes), []
    together = [FinalPass(parts, clip, SpeechOptions("en"), ended=True) for clip in clips]
    for _ in walk_together([one.walk() for one in together]):
        pass
    for one, other in zip(together, alone, strict=True):
        assert one.result().text == other.text
        for ours, theirs in zip(one.result().segments, other.segments, strict=True):
            assert [word.word for word in ours.words] == [word.word for word in theirs.words]
            assert [word.start for word in ours.words] == pytest.approx([w.start for w in theirs.words], abs=0.05)
    assert "Good morning" in alone[0].text
    assert max(passes) == 3
    assert len(passes) < 0.7 * single


def windows(number: int) -> tuple[BatchedDecoder, list[Any]]:
    """Passes that windows of random sound want, each with guesses."""
    model = small_whisper()
    decoder, vocabulary = BatchedDecoder(model, "float32", (0, number)), Vocabulary(model)
    tokenizer = vocabulary.tokenizer("en", "transcribe")
    generator = torch.Generator().manual_seed(3)
    steps = []
    for place in range(number):
        cross = decoder.cross_attention_kv(torch.randn(1500, 64, generator=generator))
        steps.append(decode(decoder, vocabulary, cross, tokenizer, [], 0.0, range(400, 410 + place)))
    return decoder, steps


def test_passes_in_one_are_the_passes_alone() -> None:
    _, steps = windows(3)
    wanted = [next(one) for one in steps]
    together = answer(wanted)
    for one, found in zip(wanted, together, strict=True):
        one.row.length = 0
        (alone,) = answer([one])
        assert found.tokens == alone.tokens
        assert found.likeliest == alone.likeliest
        assert found.logprobs == pytest.approx(alone.logprobs, abs=1e-3)
        assert found.no_speech_prob == pytest.approx(alone.no_speech_prob, abs=1e-4)


def test_a_window_that_is_sent_no_answer_does_its_pass_alone() -> None:
    _, (driven, alone) = windows(2)
    results = []
    for steps, answers in ((driven, True), (alone, False)):
        given: CheckedPass | None = None
        while True:
            try:
                wanted = steps.send(given)
            except StopIteration as end:
                results.append(end.value)
                break
            assert isinstance(wanted, WindowPass)
            given = answer([wanted])[0] if answers else None
    assert all(result.tokens for result in results)


def test_a_pass_that_fails_leaves_rows_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be done in parts, and it is tried again."""
    decoder, steps = windows(2)
    wanted = [next(one) for one in steps]

    def half_done(rows: Any, tokens: Any) -> Any:
        rows[0].length += 5
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(decoder, "forward", half_done)
    with pytest.raises(torch.OutOfMemoryError):
        answer(wanted)
    assert [one.row.length for one in wanted] == [0, 0]


def test_tokens_are_sampled_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device's random numbers are everybody's; one that recorded graphs may refuse them."""
    decoder, _ = windows(1)
    vocabulary = Vocabulary(small_whisper())
    rules = TimestampRules(vocabulary.any, vocabulary, decoder.device)
    asked: list[torch.Tensor] = []
    multinomial, to_host = torch.multinomial, torch.Tensor.cpu
    copied: list[int] = []

    def drawn(given: torch.Tensor, count: int) -> torch.Tensor:
        asked.append(given)
        return multinomial(given, count)

    def noted(given: torch.Tensor) -> torch.Tensor:
        found = to_host(given).clone()  # as from a GPU: another tensor
        copied.append(id(found))
        kept.append(found)
        return found

    kept: list[torch.Tensor] = []
    monkeypatch.setattr(torch, "multinomial", drawn)
    monkeypatch.setattr(torch.Tensor, "cpu", noted)
    row = decoder.row(decoder.cross_attention_kv(torch.zeros(1500, 64)))
    (found,) = answer([WindowPass(decoder, rules, row, [50258, 50259, 50359], (), (), 0.4, 0)])
    assert len(found.tokens) == 1
    assert [id(one) for one in asked] == copied


def test_a_walk_in_step_holds_its_pass_until_it_is_answered() -> None:
    _, steps = windows(1)
    walk = WalkInStep(steps[0])
    assert walk.advance() == "working"
    assert walk.wanted is not None
    answer_together([walk])
    assert walk.wanted is None
    assert walk.advance() == "working"
    assert walk.answer is None
