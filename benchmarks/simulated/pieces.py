"""What the parts of a live step cost on a device, for a model's shapes; its weights may be random.

The parts: windows are encoded, or what is new of them since the step before where settled states are kept, and their
rows begun (``encode``), prefixes and drafts go through the decoder in one pass (``check``), rows are fed one token each
and choose the next (``choose``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from whisper.model import ModelDimensions, Whisper

from benchmarks.simulated.crowd import LiveStep
from openmic.audio.types import SAMPLE_RATE
from openmic.speech.engine.costs import STEP_EVERY_SECONDS
from openmic.speech.gpu.window_encoder import BatchedWindowEncoder
from openmic.speech.model.decoder import Decoder, Row
from openmic.speech.model.encoder import EncoderCache
from openmic.speech.model.window_encoder import WindowEncoder

WINDOW_SECONDS = 6.0
CHECK_TOKENS = 40
CHOICES = 8
COPIED_BYTES = 1 << 27
SHAPES = {
    "turbo": ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 4),
    "tiny": ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4),
}


@dataclass(frozen=True, slots=True)
class Pieces:
    """Seconds of each part, by rising numbers of rows.

    Attributes:
        rows: the numbers.
        encode, check, choose: seconds; the last of one token for each row.
        floor: of that, what reading the weights, keys and values once takes at the device's pace of copying.
    """

    rows: tuple[int, ...]
    encode: tuple[float, ...]
    check: tuple[float, ...]
    choose: tuple[float, ...]
    floor: tuple[float, ...]

    def seconds(self, step: LiveStep) -> float:
        """What these parts of a live step take; between the numbers measured, on a straight line."""
        once = self._at(self.encode, step.sessions) + self._at(self.check, step.sessions)
        return once + sum(self._at(self.choose, rows) for rows in step.choices)

    def _at(self, times: Sequence[float], rows: int) -> float:
        return float(np.interp(rows, self.rows, times))


def random_model(name: str, device: torch.device) -> Whisper:
    """A model of the shapes of ``name`` whose weights mean nothing; they are drawn on ``device``, in float32."""
    torch.manual_seed(0)
    with torch.device(device):
        model: Whisper = Whisper(SHAPES[name])
    for block in (model.encoder.positional_embedding, model.decoder.positional_embedding):
        torch.nn.init.normal_(block.data, std=0.02)
    return model.requires_grad_(False).eval()


@torch.inference_mode()
def measure_pieces(encoder: WindowEncoder, decoder: Decoder, numbers: Sequence[int]) -> Pieces:
    """Time the parts for each number of rows, with noise for speech; the quicker one of two times each."""
    generator = np.random.default_rng(0)
    encode, check, choose, floor = [], [], [], []
    pace = copied_bytes_per_second(decoder.device)
    never = torch.tensor([0], device=decoder.device)
    for number in numbers:
        windows = [
            generator.normal(0, 0.05, round(WINDOW_SECONDS * SAMPLE_RATE)).astype(np.float32) for _ in range(number)
        ]
        rows: list[Row] = []
        kept = [EncoderCache() for _ in windows]
        if isinstance(encoder, BatchedWindowEncoder):  # what it keeps of windows was settled at the step before
            encoder.windows([window[: -round(STEP_EVERY_SECONDS * SAMPLE_RATE)] for window in windows], kept)
        settled = [cache.states for cache in kept]

        def begin(
            windows: Sequence[np.ndarray] = windows,
            rows: list[Row] = rows,
            kept: Sequence[EncoderCache] = kept,
            settled: Sequence[int] = settled,
        ) -> None:
            rows.clear()
            if isinstance(encoder, BatchedWindowEncoder):
                for cache, states in zip(kept, settled, strict=True):
                    cache.states = states
                encoded = encoder.windows(windows, kept)
            else:
                encoded = [encoder.window(window) for window in windows]
            rows.extend(decoder.rows([window.cross for window in encoded]))

        def feed(rows: Sequence[Row] = rows) -> None:
            for row in rows:
                row.length = 0
            decoder.forward(rows, [[place % 50_000 for place in range(CHECK_TOKENS)] for _ in rows])

        def step(rows: Sequence[Row] = rows) -> None:
            for row in rows:
                row.length = CHECK_TOKENS
            for _ in range(CHOICES):
                decoder.choose(rows, [1] * len(rows), never)

        encode.append(_time(begin, decoder.device))
        check.append(_time(feed, decoder.device))
        choose.append(_time(step, decoder.device) / CHOICES)
        floor.append(
            least_bytes(decoder, number, round(WINDOW_SECONDS * 50) + encoder.tail_states, CHECK_TOKENS) / pace
        )
        for cache in kept:
            cache.clear()  # the next number's windows need the slots
    return Pieces(tuple(numbers), tuple(encode), tuple(check), tuple(choose), tuple(floor))


def least_bytes(decoder: Decoder, rows: int, states: int, tokens: int) -> int:
    """What a pass of one token per row must read: weights once, and each row's keys and values once."""
    width, layers = decoder.heads * decoder.head_width, len(decoder.layers)
    matrices = layers * 14 * width**2 + decoder.embedding.numel()  # windows' keys and values are not made in it
    return int((matrices + rows * layers * 2 * (states + tokens) * width) * decoder.embedding.element_size())


def copied_bytes_per_second(device: torch.device) -> float:
    """Bytes read and written while a large tensor is copied on ``device``."""
    data = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device)

    def copy() -> None:
        data.clone()

    return 2 * COPIED_BYTES / _time(copy, device)


def _time(work: Callable[[], None], device: torch.device) -> float:
    times = []
    for _ in range(2):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times)
