"""How many speakers this device would carry with each other model, from what the loaded one was measured to cost.

A model's costs are those of the loaded one, scaled in two ways: by its arithmetic (multiplications of a usual live step
and of a final window), and by the kernels that a GPU has to start for them, one row of layers after the other. On a
processor the arithmetic counts. On a GPU the truth lies between the two, so both are given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from openmic.speech.device import DeviceReport
from openmic.speech.engine.costs import Costs
from openmic.speech.types import ModelCapacity

VOCABULARY = 51_865  # tokens
STEP_STATES, STEP_WINDOW_STATES, STEP_TOKENS = 150, 500, 20  # of 20 ms: new ones, and all of a window of 10 s
WINDOW_STATES, WINDOW_TOKENS = 1500, 80  # of a final window of 30 s
GPU_BYTES, CPU_BYTES = 2, 5  # of a parameter: float16; float32 with the decoder in int8 beside it
ROOM = 1.5  # times the weights: with what sessions and batches need
ROOM_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's width, layers of encoder and decoder, and millions of parameters."""

    width: int
    encoder_layers: int
    decoder_layers: int
    parameters_millions: int

    def arithmetic(self, new_states: int, all_states: int, tokens: int) -> float:
        """Multiplications to encode new states and decode tokens over all states."""
        width = self.width
        encoder = self.encoder_layers * (12 * width**2 * new_states + 2 * new_states * all_states * width)
        crossed = self.decoder_layers * 2 * width**2 * all_states
        return encoder + crossed + tokens * (self.decoder_layers * 14 * width**2 + width * VOCABULARY)

    def launches(self, tokens: int) -> float:
        """Layers that run one after the other."""
        return self.encoder_layers + tokens * self.decoder_layers


SHAPES = {
    "tiny": Shape(384, 4, 4, 39),
    "base": Shape(512, 6, 6, 74),
    "small": Shape(768, 12, 12, 244),
    "medium": Shape(1024, 24, 24, 769),
    "turbo": Shape(1280, 32, 4, 809),
    "large-v3": Shape(1280, 32, 32, 1550),
}
"""Each size once; ``.en`` models and older versions have the shape of theirs."""


def capacities(name: str, loaded: Shape, costs: Costs, report: DeviceReport) -> tuple[ModelCapacity, ...]:
    """What the device carries with each model, the smallest first; the loaded one as measured.

    Args:
        name: the loaded model's.
        loaded: its shape.
        costs: its, as measured.
        report: the device.
    """
    measured = costs.capacity()
    found = [ModelCapacity(name, measured, measured, measured=True, fits=True)]
    for other, shape in SHAPES.items():
        if shape == loaded:
            continue
        both = [_scaled(costs, loaded, shape, work).capacity() for work in (_arithmetic, _launches)]
        least, most = (both[0], both[0]) if report.device == "cpu" else (min(both), max(both))
        found.append(ModelCapacity(other, least, most, measured=False, fits=_fits(shape, report)))
    sizes = {other: shape.parameters_millions for other, shape in SHAPES.items()}
    return tuple(sorted(found, key=lambda one: sizes.get(one.model, loaded.parameters_millions)))


def shape_of(width: int, encoder_layers: int, decoder_layers: int) -> Shape:
    """The shape that has these; its parameters are counted where it is none of the usual."""
    for shape in SHAPES.values():
        if (shape.width, shape.encoder_layers, shape.decoder_layers) == (width, encoder_layers, decoder_layers):
            return shape
    parameters = width**2 * (12 * encoder_layers + 16 * decoder_layers) + width * VOCABULARY
    return Shape(width, encoder_layers, decoder_layers, round(parameters / 1e6))


def _arithmetic(shape: Shape) -> tuple[float, float]:
    """Of a live step, and of a final window."""
    return (
        shape.arithmetic(STEP_STATES, STEP_WINDOW_STATES, STEP_TOKENS),
        shape.arithmetic(WINDOW_STATES, WINDOW_STATES, WINDOW_TOKENS),
    )


def _launches(shape: Shape) -> tuple[float, float]:
    return shape.launches(STEP_TOKENS), shape.launches(WINDOW_TOKENS)


def _scaled(costs: Costs, loaded: Shape, other: Shape, work: Callable[[Shape], tuple[float, float]]) -> Costs:
    (step, window), (other_step, other_window) = work(loaded), work(other)
    steps = tuple((count, seconds * other_step / step) for count, seconds in costs.steps)
    return Costs(steps, costs.window_seconds * other_window / window)


def _fits(shape: Shape, report: DeviceReport) -> bool:
    size = CPU_BYTES if report.device == "cpu" else GPU_BYTES
    return ROOM * size * shape.parameters_millions * 1e6 + ROOM_BYTES <= report.total_bytes
