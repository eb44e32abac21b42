"""Whisper's audio encoder over a short window, with the states of a silent tail behind it.

Whisper was trained on 30 s windows, and its decoder loops when it sees fewer states. Most of those states say the
same thing in every window: speech has ended, now there is silence. So only the window (and half a second of silence
after it) is encoded, and the states of a tail that was encoded once, at warm-up, are placed behind it up to the
model's full context. The tail must come from real speech that ended early in its own window: the states of pure
silence do not say that speech has ended, and make the decoder loop.

Nor is a growing window encoded again at each step. A state hardly changes any more once it has heard
``SETTLED_SECONDS`` of what comes after it, so from then on its keys and values are kept, in every layer, and only
the states behind it are worked out, attending to the kept ones (block processing with a cached left context, as in
streaming encoders: Tsunoo et al., "Transformer ASR with Contextual Block Processing", 2019; here without training).
"""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from whisper.model import Whisper

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.model.decoder import CrossAttentionKV, Decoder
from openmic.speech.model.encoder import EncoderCache, EncoderLayer
from openmic.speech.model.linear import Precision
from openmic.speech.model.mel import log_mel_power, normalized
from openmic.speech.model.units import STATE_SAMPLES, STATE_SECONDS

PAD_SECONDS = 0.5  # silence encoded with the window, so that its last word ends inside it
TAIL_STATES = 200  # of the tail behind the window; without it the decoder loops, more hardly change anything
SETTLED_SECONDS = 1.0  # of audio behind a state, after which it is kept
MARGIN_STATES = 3  # before the first new one, for the convolutions and the Fourier transform to begin right


@dataclass(frozen=True, slots=True)
class Window:
    """An encoded window, ready to be decoded.

    Attributes:
        cross: what the decoder attends to, the tail included.
        states: how many of the encoder's states stand for the window's own audio (the half second of silence included).
    """

    cross: CrossAttentionKV
    states: int


class WindowEncoder:
    """Encodes windows of up to 29 s at the cost of their own length.

    Args:
        model: the loaded model.
        decoder: whose cross-attention keys and values are wanted.
        precision: of the encoder's matrices.
        tail_states: of the tail that is placed behind a window.

    Attributes:
        layers: of the encoder, at ``precision``.
    """

    def __init__(self, model: Whisper, decoder: Decoder, precision: Precision, tail_states: int = TAIL_STATES) -> None:
        self.device = model.device
        self.n_mels = int(model.dims.n_mels)
        self.context = int(model.dims.n_audio_ctx)
        self.decoder = decoder
        self.tail_states = tail_states
        self._encoder = model.encoder
        self._positions = model.encoder.positional_embedding.to(decoder.dtype)
        self.layers = [EncoderLayer(block, precision) for block in model.encoder.blocks]
        clip = tail_clip()
        self._tail = decoder.cross_attention_kv(self._states(clip, self.context, EncoderCache(), 0))
        self._tail_begin = round(len(clip) / SAMPLE_RATE / STATE_SECONDS) + 1  # before it the tail still speaks

    def window(self, samples: Samples, settled: EncoderCache | None = None) -> Window:
        """Encode ``samples``, shape (n,), float32, and splice the tail behind them.

        Args:
            samples: the whole window.
            settled: what was kept when its earlier part was encoded; it grows.

        Raises:
            ValueError: the window and its half second of silence are longer than the model's context.
        """
        state_count = self.state_count(samples)
        settled = EncoderCache() if settled is None else settled
        old = settled.cross
        until = settled_until(samples, settled)
        kept = until - settled.states
        new = self.decoder.cross_attention_kv(self._states(samples, state_count, settled, kept))
        if old is not None:
            new = CrossAttentionKV(_joined(old.keys, new.keys), _joined(old.values, new.values))
        if kept:
            settled.cross = CrossAttentionKV([k[:, :until] for k in new.keys], [v[:, :until] for v in new.values])
        return Window(
            CrossAttentionKV(self._spliced(new.keys, self._tail.keys), self._spliced(new.values, self._tail.values)),
            state_count,
        )

    def state_count(self, samples: Samples) -> int:
        """States of a window and its half second of silence.

        Raises:
            ValueError: they are more than the model's context.
        """
        count: int = -(-(len(samples) + int(PAD_SECONDS * SAMPLE_RATE)) // STATE_SAMPLES)
        if count > self.context:
            raise ValueError(f"a window of {count} states does not fit into {self.context}")
        return count

    def windows(self, samples: Sequence[Samples], settled: Sequence[EncoderCache | None]) -> list[Window]:
        """``window`` for each of a batch."""
        return [self.window(*pair) for pair in zip(samples, settled, strict=True)]

    def _spliced(self, window: Sequence[Tensor], tail: Sequence[Tensor]) -> list[Tensor]:
        first = max(window[0].shape[1], self._tail_begin)
        last = first + self.tail_states
        return [torch.cat([near, far[:, first:last]], dim=1) for near, far in zip(window, tail, strict=True)]

    def _states(self, samples: Samples, state_count: int, settled: EncoderCache, kept: int) -> Tensor:
        """Encoder states up to the ``state_count``th that are not settled, in the decoder's dtype.

        Returns:
            Shape (state_count - settled.states, n_audio_state); ``kept`` of them are settled afterwards.
        """
        first = settled.states
        margin = min(MARGIN_STATES, first)
        part = samples[(first - margin) * STATE_SAMPLES :]
        part = np.pad(part, (0, (state_count - first + margin) * STATE_SAMPLES - len(part)))
        power = log_mel_power(torch.from_numpy(part).to(self.device), self.n_mels)
        settled.loudest = max(settled.loudest, float(power.max()))
        mel = normalized(power, settled.loudest)[None].to(self.decoder.dtype)
        x = F.gelu(self._encoder.conv2(F.gelu(self._encoder.conv1(mel))))[0].T[margin:]
        x = x + self._positions[first:state_count]
        for index, layer in enumerate(self.layers):
            x = layer(x, settled, index, kept)
        settled.states += kept
        states: Tensor = self._encoder.ln_post(x)
        return states


def settled_until(samples: Samples, settled: EncoderCache) -> int:
    """How many states of a window are settled once it is encoded."""
    until: int = (len(samples) - round(SETTLED_SECONDS * SAMPLE_RATE)) // STATE_SAMPLES
    return max(settled.states, until)


def _joined(first: Sequence[Tensor], second: Sequence[Tensor]) -> list[Tensor]:
    return [torch.cat(pair, dim=1) for pair in zip(first, second, strict=True)]


def tail_clip() -> Samples:
    """The short recording that ships with the package; its speech ends within two seconds."""
    with (files("openmic.speech") / "data" / "tail.wav").open("rb") as file, wave.open(file) as reader:
        pcm = np.frombuffer(reader.readframes(reader.getnframes()), dtype="<i2")
    return pcm.astype(np.float32) / 32768.0
