"""Settled states in slots: growing windows together are growing windows alone, at the cost of what is new."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from whisper.model import Whisper

from benchmarks.simulated.pieces import random_model
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.gpu import select_encoder, window_encoder
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.gpu.select_encoder import encoder_for, growing_agrees
from openmic.speech.gpu.settled_slots import SLOT_STATES, NewStates, encoder_decides
from openmic.speech.gpu.window_encoder import BatchedWindowEncoder
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.live.hypothesis import StepCache, StepInput
from openmic.speech.model.encoder import EncoderCache
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.model.window_encoder import PAD_SECONDS, SETTLED_SECONDS, Window, WindowEncoder
from tests.support.operations import Operations
from tests.support.small_whisper import DIMS, small_whisper

SHAPES = {  # width, encoder layers, decoder layers
    "tiny": (384, 4, 4),
    "base": (512, 6, 6),
    "small": (768, 12, 12),
    "medium": (1024, 24, 24),
    "large-v3": (1280, 32, 32),
    "turbo": (1280, 32, 4),
}


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def small() -> Whisper:
    return small_whisper()


@pytest.fixture(scope="module")
def noise() -> Samples:
    return np.random.default_rng(0).normal(0, 0.1, 14 * SAMPLE_RATE).astype(np.float32)


@pytest.fixture(scope="module")
def speech(sample_audio: Path, load_audio: Callable[[Path], Samples]) -> Samples:
    return load_audio(sample_audio / "quickstart.wav")


def keeping(model: Whisper, slots: int) -> BatchedWindowEncoder:
    """As for a model whose encoder decides."""
    encoder = BatchedWindowEncoder(model, BatchedDecoder(model, "float32", (8, 0)), "float32")
    encoder.keeps_settled = True
    encoder.allocate(slots)
    return encoder


def cut(samples: Samples, begin: float, end: float) -> Samples:
    return samples[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


def caches(number: int) -> list[EncoderCache]:
    return [EncoderCache() for _ in range(number)]


def assert_alike(window: Window, other: Window) -> None:
    assert (window.states, window.cross.states) == (other.states, other.cross.states)
    for ours, theirs in zip(
        [*window.cross.keys, *window.cross.values], [*other.cross.keys, *other.cross.values], strict=True
    ):
        assert (ours - theirs).norm() <= 5e-4 * theirs.norm()
        assert torch.allclose(ours, theirs, atol=0.01)  # of states of silence rounding makes more than of others


def passes(encoder: BatchedWindowEncoder, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Windows and states, padding included, of each pass through the layers from now on."""
    seen: list[tuple[int, int]] = []
    through = BatchedWindowEncoder._through_layers

    def noted(self: BatchedWindowEncoder, x: Tensor, *given: Any) -> Tensor:
        seen.append((x.shape[0], x.shape[1]))
        return through(self, x, *given)

    monkeypatch.setattr(BatchedWindowEncoder, "_through_layers", noted)
    return seen


# Of each step, where each stream's window begins and ends; None: that stream is not due. Windows grow by different
# steps, slide (they begin later), end (a new utterance), have settled one state or none, and outgrow a slot.
STEPS: tuple[tuple[tuple[float, float] | None, ...], ...] = (
    ((0.0, 0.4), (0.0, 3.0), (2.0, 7.3), None, (0.0, 11.0)),
    ((0.0, 1.03), (0.0, 3.5), None, (5.0, 5.6), (0.0, 12.0)),
    ((0.0, 1.53), (0.0, 5.0), (2.0, 8.81), (5.0, 7.1), None),
    ((0.0, 2.0), (3.2, 5.5), (2.0, 10.3), None, (0.0, 12.7)),
    ((0.0, 4.1), (3.2, 7.0), (8.0, 12.0), (9.0, 9.5), (10.0, 13.0)),
    ((0.0, 4.6), (3.2, 7.5), (8.0, 12.5), (9.0, 11.0), (10.0, 13.5)),
)


def test_growing_windows_together_equal_growing_windows_alone(base_model: Any, speech: Samples) -> None:
    """Also that of a stream without a slot: it is encoded whole, in the same call."""
    encoder = keeping(base_model, 4)
    ours, theirs = caches(5), caches(5)
    begins = [-1.0] * 5
    for step in STEPS:
        due = [place for place, window in enumerate(step) if window is not None]
        for place in due:
            begin = (step[place] or (0.0,))[0]
            if begin != begins[place]:  # as the engine does where a window begins elsewhere
                begins[place] = begin
                ours[place].clear()
                theirs[place].clear()
        samples = [cut(speech, *(step[place] or (0.0, 0.0))) for place in due]
        windows = encoder.windows(samples, [ours[place] for place in due])
        assert encoder.slots.free == 4 - sum(cache.slot is not None for cache in ours)
        for place, one, window in zip(due, samples, windows, strict=True):
            if ours[place].slot is None:
                theirs[place].clear()
                assert_alike(window, WindowEncoder.window(encoder, one))
            else:
                assert_alike(window, WindowEncoder.window(encoder, one, theirs[place]))
                assert ours[place].states == theirs[place].states
    assert encoder.slots.free == 0


def test_growing_windows_say_what_they_say_alone(base_model: Any, speech: Samples) -> None:
    vocabulary = Vocabulary(base_model)
    encoder = keeping(base_model, 8)
    decoders = [
        LiveStepDecoder(encoder, encoder.decoder, vocabulary),
        LiveStepDecoder(WindowEncoder(base_model, encoder.decoder, "float32"), encoder.decoder, vocabulary),
    ]
    said = []
    for live in decoders:
        memories = [StepCache() for _ in range(2)]
        drafts: list[tuple[int, ...]] = [(), ()]
        for grown in (0.0, 1.6):
            windows = [(0.3, 2.5 + grown), (9.0, 10.2 + grown)]
            requests = [
                StepInput(cut(speech, *window), window[0], "en", "transcribe", draft=draft, memory=memory)
                for window, memory, draft in zip(windows, memories, drafts, strict=True)
            ]
            found = live.step(requests)
            drafts = [tuple(t for word in one.words for t in word.tokens) for one in found]
        said.append(["".join(word.text for word in one.words) for one in found])
    assert said[0] == said[1]
    assert all(len(text.split()) > 3 for text in said[0])


def test_only_new_states_go_through_the_layers(small: Whisper, noise: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = keeping(small, 4)
    kept = caches(3)
    seen = passes(encoder, monkeypatch)
    encoder.windows([cut(noise, 0.0, 4.0)] * 3, kept)
    assert seen == [(3, 256)]  # 4.5 s are 225 states
    for seconds, states in ((4.5, 112), (6.0, 160), (7.0, 128)):  # 1.5 s of them, and what is new
        seen.clear()
        encoder.windows([cut(noise, 0.0, seconds)] * 3, kept)
        assert seen == [(3, states)]
        assert [one.states for one in kept] == [round((seconds - SETTLED_SECONDS) * 50)] * 3
    seen.clear()
    encoder.windows([cut(noise, 0.0, 7.5)] * 3 + [cut(noise, 0.0, 5.0)], [*kept, None])
    assert seen == [(1, 384), (3, 112)]


def test_a_step_takes_as_many_operations_for_any_number_of_windows(small: Whisper, noise: Samples) -> None:
    """And slots that are side by side are read where they are; of others, a layer's are copied at once."""
    counts = {}
    for number in (1, 3, 6):
        encoder = keeping(small, 6)
        kept = caches(number)
        encoder.windows([cut(noise, 0.0, 4.0)] * number, kept)
        with Operations() as done:
            encoder.windows([cut(noise, 0.0, 5.0)] * number, kept)
        counts[number] = done.total, done.done["index"], done.done["index_select"]
        if number == 6:
            with Operations() as apart:
                encoder.windows([cut(noise, 0.0, 6.0)] * 3, kept[::2])
    assert counts[1] == counts[3] == counts[6]
    assert apart.total == counts[6][0] + len(encoder.layers) + 1  # and the encoded states
    assert apart.done["index"] == counts[6][1] + len(encoder.layers) + 1


def test_slots_are_bounded_and_given_back(small: Whisper, noise: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = keeping(small, 2)
    one, other, third = caches(3)
    seen = passes(encoder, monkeypatch)
    encoder.windows([cut(noise, 0.0, 3.0)] * 3, [one, other, third])
    assert encoder.slots.free == 0
    assert (third.slot, third.states) == (None, 0)
    assert seen == [(1, 256), (2, 192)]  # whole windows are padded to fewer lengths
    one.clear()
    assert encoder.slots.free == 1
    encoder.windows([cut(noise, 0.0, 3.5)], [third])
    assert encoder.slots.free == 0
    seen.clear()
    encoder.windows([cut(noise, 0.0, 4.0)] * 2, [third, other])
    assert seen == [(1, 112), (1, 128)]
    del other, third
    assert encoder.slots.free == 2


def test_a_window_that_outgrows_its_slot_gives_it_back(small: Whisper, noise: Samples) -> None:
    encoder = keeping(small, 1)
    cache = EncoderCache()
    longest = SLOT_STATES / 50 - PAD_SECONDS
    encoder.windows([cut(noise, 0.0, longest)], [cache])
    assert encoder.slots.free == 0
    window = encoder.windows([cut(noise, 0.0, longest + 0.1)], [cache])[0]
    assert (encoder.slots.free, cache.slot, cache.states) == (1, None, 0)
    assert_alike(window, encoder.window(cut(noise, 0.0, longest + 0.1)))


def test_slots_that_were_allocated_anew_owe_nothing_to_those_before(small: Whisper, noise: Samples) -> None:
    encoder = keeping(small, 1)
    cache = EncoderCache()
    encoder.windows([cut(noise, 0.0, 4.0)], [cache])
    encoder.allocate(1)
    window = encoder.windows([cut(noise, 0.0, 5.0)], [cache])[0]
    assert encoder.slots.free == 0
    assert_alike(window, encoder.window(cut(noise, 0.0, 5.0)))


def test_a_pass_is_bounded(small: Whisper, noise: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = keeping(small, 5)
    kept = caches(5)
    encoder.windows([cut(noise, 0.0, 4.0)] * 5, kept)
    monkeypatch.setattr(encoder, "most_states", 400)  # a copied slot counts as 80 states
    seen = passes(encoder, monkeypatch)
    encoder.windows([cut(noise, 0.0, 4.5)] * 5, kept)
    assert seen == [(2, 112), (2, 112), (1, 112)]


def test_one_windows_broken_audio_stays_in_it(small: Whisper, noise: Samples) -> None:
    encoder = keeping(small, 2)
    bad, good = caches(2)
    broken = np.full(4 * SAMPLE_RATE, np.nan, np.float32)
    alone = EncoderCache()
    for seconds in (3.0, 4.0):
        _, window = encoder.windows([cut(broken, 0.0, seconds), cut(noise, 0.0, seconds)], [bad, good])
        assert_alike(window, WindowEncoder.window(encoder, cut(noise, 0.0, seconds), alone))
    bad.clear()
    found = encoder.windows([cut(noise, 2.0, 5.0)], [bad])[0]  # in the same slot
    assert_alike(found, encoder.window(cut(noise, 2.0, 5.0)))
    assert not bool(encoder.slots.keys_values.isnan().any())


def test_a_step_that_finds_no_memory_can_be_done_again(
    small: Whisper, noise: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the engine does, with half of the streams at a time."""
    encoder = keeping(small, 2)
    ours, theirs = caches(2), caches(2)
    begun = [cut(noise, 0.0, 3.0), cut(noise, 2.0, 6.0)]
    encoder.windows(begun, ours)
    keys_values = NewStates.keys_values

    def full(self: NewStates, layer: int, new: Tensor) -> Tensor:
        if layer == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return keys_values(self, layer, new)

    grown = [cut(noise, 0.0, 4.0), cut(noise, 2.0, 7.0)]
    monkeypatch.setattr(NewStates, "keys_values", full)
    with pytest.raises(torch.OutOfMemoryError):
        encoder.windows(grown, ours)
    monkeypatch.setattr(NewStates, "keys_values", keys_values)
    WindowEncoder.windows(encoder, begun, theirs)
    for place in (0, 1):
        window = encoder.windows(grown[place : place + 1], ours[place : place + 1])[0]
        assert_alike(window, WindowEncoder.window(encoder, grown[place], theirs[place]))


def test_a_slots_memory_is_known_before_it_is_allocated(small: Whisper) -> None:
    encoder = keeping(small, 2)
    slots = encoder.slots
    tensors = slots.keys_values, slots.encoded
    assert 2 * encoder.slot_bytes == sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    encoder.keeps_settled = False
    assert encoder.slot_bytes == 0


def test_settled_states_are_kept_where_the_encoder_decides() -> None:
    kept = {name for name, shape in SHAPES.items() if encoder_decides(*shape)}
    assert kept == {"small", "medium", "large-v3", "turbo"}


def test_half_precision_agrees(small: Whisper) -> None:
    """What a GPU computes: float16 throughout."""
    encoder = BatchedWindowEncoder(small, BatchedDecoder(small, "float16", (0, 0)), "float16")
    encoder.keeps_settled = True
    assert growing_agrees(encoder)


@pytest.mark.slow
def test_half_precision_agrees_through_as_many_layers_as_turbo_has() -> None:
    torch.manual_seed(0)
    model = Whisper(replace(DIMS, n_audio_layer=32, n_text_layer=4, n_mels=128)).requires_grad_(False).eval()
    for positions in (model.encoder.positional_embedding, model.decoder.positional_embedding):
        positions.data.normal_(std=0.02)
    encoder = BatchedWindowEncoder(model, BatchedDecoder(model, "float16", (0, 0)), "float16")
    assert encoder.keeps_settled
    assert growing_agrees(encoder)


@pytest.mark.parametrize(
    ("failure", "message"), [(None, "something else"), (RuntimeError("out of memory"), "out of memory")]
)
def test_a_device_on_which_settled_states_are_wrong_encodes_windows_whole(
    small: Whisper,
    failure: Exception | None,
    message: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys_values = NewStates.keys_values

    def wrong(self: NewStates, layer: int, new: Tensor) -> Tensor:
        if failure is not None:
            raise failure
        return keys_values(self, layer, new).flip(1)  # as if the states lay elsewhere

    monkeypatch.setattr(NewStates, "keys_values", wrong)
    monkeypatch.setattr(window_encoder, "encoder_decides", lambda *shape: True)
    with caplog.at_level(logging.WARNING):
        found = encoder_for(small, BatchedDecoder(small, "float32", (0, 0)), "float32")
    assert isinstance(found, BatchedWindowEncoder)
    assert not found.keeps_settled
    assert message in caplog.text
    found.allocate(4)
    assert found.slots.slots == 0


def test_a_device_on_which_they_are_right_keeps_them(small: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_encoder, "encoder_decides", lambda *shape: True)
    compared: list[int] = []
    alike = select_encoder._alike

    def noted(windows: Sequence[Window], others: Sequence[Window]) -> bool:
        compared.append(len(windows))
        return alike(windows, others)

    monkeypatch.setattr(select_encoder, "_alike", noted)
    found = encoder_for(small, BatchedDecoder(small, "float32", (0, 0)), "float32")
    assert isinstance(found, BatchedWindowEncoder)
    assert found.keeps_settled
    assert compared == [3, 4, 4, 4]
    assert found.slots.slots == 0  # those for the comparison have gone


@pytest.mark.gpu
def test_on_a_gpu_the_shapes_of_turbo_agree() -> None:
    model = random_model("turbo", torch.device("cuda"))
    decoder = BatchedDecoder(model, "float16", (0, 0))
    encoder = encoder_for(model, decoder, "float16")
    assert isinstance(encoder, BatchedWindowEncoder)
    assert encoder.keeps_settled
