"""Estimates of other models' capacities: the arithmetic of their shapes, and what they are scaled from."""

from __future__ import annotations

from typing import Any

import pytest
import whisper

from openmic.speech.device import DeviceReport
from openmic.speech.engine.costs import Costs
from openmic.speech.engine.estimates import SHAPES, capacities, shape_of

GIB = 1 << 30
CPU = DeviceReport("cpu", "CPU, 2 cores", 8 * GIB, 16 * GIB)
GPU = DeviceReport("cuda:0", "Tesla T4", 14 * GIB, 15 * GIB)
COSTS = Costs(((1, 0.05), (4, 0.2)), 1.0)


def test_the_shapes_are_those_of_the_weights(base_model: Any) -> None:
    dims = base_model.dims
    assert shape_of(dims.n_audio_state, dims.n_audio_layer, dims.n_text_layer) is SHAPES["base"]
    assert set(SHAPES) <= set(whisper.available_models())
    assert shape_of(512, 6, 5).parameters_millions == pytest.approx(SHAPES["base"].parameters_millions, rel=0.15)


def test_the_arithmetic_grows_as_the_models_do() -> None:
    work = {name: shape.window_arithmetic for name, shape in SHAPES.items()}
    assert sorted(work, key=lambda name: work[name]) == ["tiny", "base", "small", "medium", "turbo", "large-v3"]


def test_on_a_processor_one_number_for_each_model_and_the_loaded_one_as_measured() -> None:
    found = {one.model: one for one in capacities("base.en", SHAPES["base"], COSTS, CPU)}
    assert list(found) == ["tiny", "base.en", "small", "medium", "turbo", "large-v3"]
    assert (found["base.en"].speakers, found["base.en"].measured) == (COSTS.capacity(), True)
    speakers = [one.speakers for one in found.values()]
    assert speakers == sorted(speakers, reverse=True)
    assert speakers[0] > speakers[1] > speakers[2] >= 1
    assert speakers[-1] == 0, "it would take longer than the speech"
    assert [name for name, one in found.items() if one.measured] == ["base.en"]


def test_on_a_gpu_layers_count_for_one_stream_and_width_for_each_further_one() -> None:
    costs = Costs(((1, 0.02), (64, 0.05)), 0.12)
    found = {one.model: one.speakers for one in capacities("base", SHAPES["base"], costs, GPU)}
    assert found["base"] == costs.capacity()
    assert found["tiny"] > found["base"] > found["turbo"] > found["large-v3"]
    assert found["turbo"] > found["medium"], "wide, but with few layers to start for each token"
    alone = Costs(((1, 0.02),), 0.12)
    same = capacities("base", SHAPES["base"], alone, GPU)
    assert [one.speakers for one in same if one.model in ("base", "turbo")] == [4, 4], "no more than were measured"


def test_what_does_not_fit_is_said() -> None:
    small = DeviceReport("cpu", "CPU, 1 core", GIB, 2 * GIB)
    fits = {one.model: one.fits for one in capacities("tiny", SHAPES["tiny"], COSTS, small)}
    assert (fits["tiny"], fits["base"], fits["large-v3"]) == (True, True, False)
    assert all(one.fits for one in capacities("tiny", SHAPES["tiny"], COSTS, GPU))


def test_an_engine_that_measured_nothing_estimates_nothing(engine_parts: Any) -> None:
    from openmic.speech.engine.thread import WhisperEngine

    parts, costs = engine_parts
    for measured, names in ((None, []), (costs, [*SHAPES])):
        engine = WhisperEngine(parts, 0.5, 10.0, measured)
        assert sorted(one.model for one in engine.capacities()) == sorted(names)
        engine.close()
