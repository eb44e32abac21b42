"""How many speakers this device would carry with each other model, from what the loaded one was measured to cost.

A model's costs are those of the loaded one, scaled. On a processor all of it is arithmetic: multiplications of a usual
live step and of a final window. On a GPU a step of one stream, and a final window, whose tokens come one by one, are
held up by the kernels that must be started, layer after layer; what each further stream adds to a step is arithmetic.
"""

from __future__ import annotations

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

    @property
    def step_arithmetic(self) -> float:
        """Multiplications of a usual live step."""
        return self._arithmetic(STEP_STATES, STEP_WINDOW_STATES, STEP_TOKENS)

    @property
    def window_arithmetic(self) -> float:
        """Multiplications of a final window."""
        return self._arithmetic(WINDOW_STATES, WINDOW_STATES, WINDOW_TOKENS)

    def _arithmetic(self, new_states: int, all_states: int, tokens: int) -> float:
        """To encode new states and decode tokens over all states."""
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
    found = [ModelCapacity(name, costs.capacity(), measured=True, fits=True)]
    for other, shape in SHAPES.items():
        if shape != loaded:
            scaled = _on_cpu(costs, loaded, shape) if report.device == "cpu" else _on_gpu(costs, loaded, shape)
            speakers = scaled.capacity() if scaled.load(1) <= 1 else 0
            found.append(ModelCapacity(other, speakers, measured=False, fits=_fits(shape, report)))
    sizes = {other: shape.parameters_millions for other, shape in SHAPES.items()}
    return tuple(sorted(found, key=lambda one: sizes.get(one.model, loaded.parameters_millions)))


def shape_of(width: int, encoder_layers: int, decoder_layers: int) -> Shape:
    """The shape that has these; its parameters are counted where it is none of the usual."""
    for shape in SHAPES.values():
        if (shape.width, shape.encoder_layers, shape.decoder_layers) == (width, encoder_layers, decoder_layers):
            return shape
    parameters = width**2 * (12 * encoder_layers + 16 * decoder_layers) + width * VOCABULARY
    return Shape(width, encoder_layers, decoder_layers, round(parameters / 1e6))


def _on_cpu(costs: Costs, loaded: Shape, other: Shape) -> Costs:
    step, window = other.step_arithmetic / loaded.step_arithmetic, other.window_arithmetic / loaded.window_arithmetic
    return Costs(
        tuple((count, seconds * step) for count, seconds in costs.steps), costs.final_window_cost_seconds * window
    )


def _on_gpu(costs: Costs, loaded: Shape, other: Shape) -> Costs:
    launches = other.launches(STEP_TOKENS) / loaded.launches(STEP_TOKENS)
    arithmetic = other.step_arithmetic / loaded.step_arithmetic
    alone = costs.steps[0][1]
    steps = tuple((count, alone * launches + (seconds - alone) * arithmetic) for count, seconds in costs.steps)
    window = other.launches(WINDOW_TOKENS) / loaded.launches(WINDOW_TOKENS)
    return Costs(steps, costs.final_window_cost_seconds * window)


def _fits(shape: Shape, report: DeviceReport) -> bool:
    size = CPU_BYTES if report.device == "cpu" else GPU_BYTES
    return ROOM * size * shape.parameters_millions * 1e6 + ROOM_BYTES <= report.total_bytes
