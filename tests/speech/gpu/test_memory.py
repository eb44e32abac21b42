"""Slots are counted when all else is in the device's memory, and what a step needs meanwhile stays free."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from whisper.model import Whisper

from openmic.audio.types import SAMPLE_RATE
from openmic.progress import silent
from openmic.settings import Settings
from openmic.speech import load
from openmic.speech.device import DeviceMemory
from openmic.speech.gpu import decoder as batched
from openmic.speech.gpu import select, window_encoder
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.gpu.select import give_slots, warm_up
from openmic.speech.gpu.window_encoder import BatchedWindowEncoder, states_of_a_pass
from openmic.speech.live import decode as live_decode
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.live.hypothesis import StepCache, StepInput
from openmic.speech.model.full_encoder import FullEncoder
from openmic.speech.model.tokens import Vocabulary
from tests.support.allocator import Allocator
from tests.support.small_whisper import small_whisper

MB = 1 << 20


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(window_encoder, "PASS_BYTES", 4 * MB)
    monkeypatch.setattr(batched, "MOST_TOKENS", 1024)
    monkeypatch.setattr(batched, "MOST_SCORES", 16)
    monkeypatch.setattr(live_decode, "MOST_SCORES", 16)
    monkeypatch.setattr(select, "GRAPH_BYTES", 0)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)  # a GPU has no layout of oneDNN's
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def model() -> Whisper:
    return small_whisper()


def parts(model: Whisper) -> tuple[BatchedDecoder, BatchedWindowEncoder]:
    decoder = BatchedDecoder(model, "float16", (0, 0))
    return decoder, BatchedWindowEncoder(model, decoder, "float16")


def test_what_the_allocator_counts_is_what_lives() -> None:
    with Allocator(10 * MB) as memory:
        one = torch.zeros(MB, dtype=torch.uint8)
        assert memory.left_bytes() == 9 * MB
        view = one[10:].add_(1)
        assert memory.left_bytes() == 9 * MB
        del one
        assert memory.left_bytes() == 9 * MB  # the view holds it
        assert memory.needed_bytes(lambda: torch.zeros(3 * MB, dtype=torch.uint8)) == 3 * MB
        with pytest.raises(torch.OutOfMemoryError):
            torch.zeros(10 * MB, dtype=torch.uint8)
        del view
        assert memory.left_bytes() == 10 * MB


@pytest.mark.slow
@pytest.mark.parametrize("room", [48, 80])
def test_a_step_of_all_slots_finds_the_memory_that_it_needs(model: Whisper, room: int) -> None:
    """On a card of that size: what is left when the slots are there is enough for as many rows as there are slots."""
    with Allocator(room * MB) as memory:
        decoder, encoder = parts(model)
        give_slots(decoder, encoder, memory)
        live_slots, wide_slots = (pool.slots for pool in decoder.pools)
        assert live_slots > 4
        slot_bytes = sum(pool.slots * pool.shape.values * 2 for pool in decoder.pools)
        left = memory.left_bytes()
        assert slot_bytes <= select.MEMORY_SHARE * (left + slot_bytes) * 1.01
        live = LiveStepDecoder(encoder, decoder, Vocabulary(model))
        number = min(live_slots, 12)
        speech = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE // 2).astype(np.float32)
        live.step([StepInput(speech, 0.0, "en", "transcribe", draft=tuple(range(400, 412)))] * number)
        memory.needed_bytes(encoder.widest_pass)
        memory.needed_bytes(decoder.widest_pass)
        del live
    assert wide_slots <= select.MOST_SLOTS[1]


@pytest.mark.slow
def test_each_live_slot_comes_with_one_for_settled_states(model: Whisper) -> None:
    """And a step of growing windows finds the memory that it needs."""
    with Allocator(60 * MB) as memory:
        decoder, encoder = parts(model)
        encoder.keeps_settled = True
        give_slots(decoder, encoder, memory)
        number = decoder.pools[0].slots
        assert encoder.slots.slots == encoder.slots.free == number > 4
        slot_bytes = sum(pool.slots * pool.shape.values * 2 for pool in decoder.pools) + number * encoder.slot_bytes
        left = memory.left_bytes()
        assert select.MEMORY_SHARE < slot_bytes / (left + slot_bytes) <= select.SHARE_WITH_SETTLED * 1.01
        live = LiveStepDecoder(encoder, decoder, Vocabulary(model))
        speech = np.random.default_rng(0).normal(0, 0.1, 2 * SAMPLE_RATE).astype(np.float32)
        memories = [StepCache() for _ in range(4)]
        draft = tuple(range(400, 412))
        for seconds in (1.5, 2.0):
            samples = speech[: round(seconds * SAMPLE_RATE)]
            live.step([StepInput(samples, 0.0, "en", "transcribe", draft=draft, memory=one) for one in memories])
        assert encoder.slots.free == number - len(memories)
        assert {one.settled.states for one in memories} == {50}
        del live


def test_without_room_there_are_no_slots_and_rows_go_alone(model: Whisper) -> None:
    with Allocator(512 * MB) as memory:
        decoder, encoder = parts(model)
        memory.room_bytes = memory.taken_bytes + memory.needed_bytes(encoder.widest_pass) + MB // 4
        give_slots(decoder, encoder, memory)
        assert [pool.slots for pool in decoder.pools] == [0, 0]
        warm_up(decoder)
        row = decoder.row(decoder.cross_attention_kv(torch.zeros(30, 64, dtype=torch.float16)))
        decoder.forward([row], [[1, 2]])


def test_slots_for_which_a_pass_finds_no_memory_are_halved(model: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def pass_over(decoder: BatchedDecoder) -> None:
        tries.append(decoder.pools[0].slots)
        if len(tries) < 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(BatchedDecoder, "widest_pass", pass_over)
    decoder, encoder = parts(model)
    encoder.keeps_settled = True
    with Allocator(96 * MB) as memory:
        give_slots(decoder, encoder, memory)
    assert tries[1:] == [tries[0] // 2, tries[0] // 4]
    assert decoder.pools[0].slots == encoder.slots.slots == tries[2] > 0


def test_recording_stops_when_it_has_taken_its_memory(model: Whisper) -> None:
    """Most of what a graph takes is the driver's, which torch does not count."""

    class Shrinking:
        left = 100 * MB

        def left_bytes(self) -> int:
            self.left -= 30 * MB
            return self.left

    decoder = BatchedDecoder(model, "float16", (8, 0), lambda step: step)
    memory: Any = Shrinking()
    select_bytes, select.GRAPH_BYTES = select.GRAPH_BYTES, 70 * MB
    try:
        warm_up(decoder, memory=memory)
    finally:
        select.GRAPH_BYTES = select_bytes
    assert len(decoder.graphs.keys) == 2


def test_a_wide_model_has_as_many_states_in_a_pass_as_fit_into_as_many_bytes() -> None:
    base, large = (states_of_a_pass(width, torch.float16) for width in (512, 1280))
    assert base == 4 * MB // (512 * 2 * window_encoder.NUMBERS_OF_A_STATE)
    assert base == pytest.approx(2.5 * large, rel=0.01)
    assert large == states_of_a_pass(640, torch.float32)


def test_matrices_are_halved_and_norms_are_not(model: Whisper) -> None:
    half = load.halved(copy.deepcopy(model))
    kinds = {type(module).__name__: {p.dtype for p in module.parameters(False)} for module in half.modules()}
    assert kinds["Linear"] == kinds["Conv1d"] == kinds["Embedding"] == {torch.float16}
    assert kinds["LayerNorm"] == {torch.float32}
    mel = torch.randn(1, 80, 3000)
    exact = model.encoder(mel)
    found = half.encoder(mel.half())
    assert torch.allclose(found.float(), exact, atol=0.05)


@pytest.mark.weights
def test_slots_are_counted_last_and_there_is_one_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """openai-whisper's layers have gone by then, and the final pass uses the live windows' encoder."""
    seen: list[tuple[int, int]] = []
    model_of: list[Whisper] = []

    def decoder_for(model: Whisper, precision: Any) -> BatchedDecoder:
        model_of.append(model)
        return BatchedDecoder(model, "float32", (0, 0))

    def noted(decoder: Any, encoder: Any) -> None:
        seen.append((len(model_of[0].encoder.blocks), len(encoder.layers)))

    monkeypatch.setattr(load, "decoder_for", decoder_for)
    monkeypatch.setattr(load, "encoder_precision", lambda device: "float32")
    monkeypatch.setattr(load, "give_slots", noted)
    monkeypatch.setattr(load, "_warm_up", lambda parts, progress: None)
    found, _ = load.load_parts(Settings(model="base", device="cpu"), silent)
    assert seen[-1] == (0, 6)
    encoder: Any = found.final.encoder
    live: Any = found.live
    assert isinstance(encoder, FullEncoder)
    assert encoder._layers is live._encoder.layers


def test_the_cards_memory_is_its_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """``FakeCuda`` stands for torch's view: what it reserves at most meanwhile counts, and what graphs take does."""
    state = {"reserved": 3 * MB, "peak": 3 * MB}

    def work() -> Tensor:
        state["peak"] = 10 * MB
        return torch.zeros(1)

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5 * MB, 9 * MB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: state["reserved"])
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: state["peak"])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: state.update(peak=state["reserved"]))
    memory = DeviceMemory(torch.device("cuda:0"))
    assert memory.left_bytes() == 5 * MB
    assert memory.needed_bytes(work) == 7 * MB
