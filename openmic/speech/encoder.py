"""Whisper's audio encoder over a short window, with the states of a silent tail behind it.

Whisper was trained on 30 s windows, and its decoder loops when it sees fewer states. Most of those states say the
same thing in every window: speech has ended, now there is silence. So only the window (and half a second of silence
after it) is encoded, and the states of a tail that was encoded once, at warm-up, are placed behind it up to the
model's full context. The tail must come from real speech that ended early in its own window: the states of pure
silence do not say that speech has ended, and make the decoder loop.
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
from whisper.audio import HOP_LENGTH, N_SAMPLES, log_mel_spectrogram
from whisper.model import ResidualAttentionBlock, Whisper

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.decoder import CrossKeys, Decoder
from openmic.speech.precision import Precision, linear

FRAME_SECONDS = 2 * HOP_LENGTH / SAMPLE_RATE  # 0.02 s: one encoder state stands for two mel frames
PAD_SECONDS = 0.5  # silence encoded with the window, so that its last word ends inside it
TAIL_STATES = 200  # of the tail behind the window; without it the decoder loops, more hardly change anything


@dataclass(frozen=True, slots=True)
class Window:
    """An encoded window, ready to be decoded.

    Attributes:
        cross: what the decoder attends to, the tail included.
        frames: how many of its states stand for the window's own audio (the half second of silence included).
    """

    cross: CrossKeys
    frames: int


class _Layer:
    """One block of the encoder with its matrices packed."""

    def __init__(self, block: ResidualAttentionBlock, precision: Precision) -> None:
        attn, mlp = block.attn, block.mlp
        self.qkv = linear(
            torch.cat([attn.query.weight, attn.key.weight, attn.value.weight]),
            torch.cat([attn.query.bias, torch.zeros_like(attn.query.bias), attn.value.bias]),
            precision,
        )
        self.out = linear(attn.out.weight, attn.out.bias, precision)
        self.up = linear(mlp[0].weight, mlp[0].bias, precision)
        self.down = linear(mlp[2].weight, mlp[2].bias, precision)
        self.attn_ln, self.mlp_ln, self.heads = block.attn_ln, block.mlp_ln, attn.n_head

    def __call__(self, x: Tensor) -> Tensor:
        """``x`` and the result have shape (frames, n_audio_state)."""
        frames, width = x.shape
        query, key, value = self.qkv(self.attn_ln(x)).view(frames, 3, self.heads, -1).permute(1, 2, 0, 3)[:, None]
        attended = F.scaled_dot_product_attention(query, key, value)[0].transpose(0, 1).reshape(frames, width)
        x = x + self.out(attended)
        return x + self.down(F.gelu(self.up(self.mlp_ln(x))))


class WindowEncoder:
    """Encodes windows of up to 29 s at the cost of their own length.

    Args:
        model: the loaded model.
        decoder: whose cross-attention keys and values are wanted.
        precision: of the encoder's matrices.
    """

    def __init__(self, model: Whisper, decoder: Decoder, precision: Precision) -> None:
        self.device = model.device
        self.n_mels = int(model.dims.n_mels)
        self.context = int(model.dims.n_audio_ctx)
        self.decoder = decoder
        self._encoder = model.encoder
        self._positions = model.encoder.positional_embedding.to(decoder.dtype)
        self._layers = [_Layer(block, precision) for block in model.encoder.blocks]
        clip = tail_clip()
        self._tail = decoder.cross_keys(self._states(np.pad(clip, (0, N_SAMPLES))[:N_SAMPLES]))
        self._tail_begin = round(len(clip) / SAMPLE_RATE / FRAME_SECONDS) + 1  # before it the tail still speaks

    def window(self, samples: Samples) -> Window:
        """Encode ``samples``, shape (n,), float32, and splice the tail behind them.

        Raises:
            ValueError: the window and its half second of silence are longer than the model's context.
        """
        padded = np.pad(samples, (0, int(PAD_SECONDS * SAMPLE_RATE)))
        padded = np.pad(padded, (0, -len(padded) % (2 * HOP_LENGTH)))
        frames = len(padded) // (2 * HOP_LENGTH)
        if frames > self.context:
            raise ValueError(f"a window of {frames} states does not fit into {self.context}")
        new = self.decoder.cross_keys(self._states(padded))
        return Window(
            CrossKeys(self._spliced(new.keys, self._tail.keys), self._spliced(new.values, self._tail.values)), frames
        )

    def _spliced(self, window: Sequence[Tensor], tail: Sequence[Tensor]) -> list[Tensor]:
        first = max(window[0].shape[1], self._tail_begin)
        last = first + TAIL_STATES
        return [torch.cat([near, far[:, first:last]], dim=1) for near, far in zip(window, tail, strict=True)]

    def _states(self, samples: Samples) -> Tensor:
        """Encoder states of ``samples``, in the decoder's dtype, shape (len(samples) / 320, n_audio_state)."""
        mel = log_mel_spectrogram(torch.from_numpy(samples), self.n_mels, device=self.device)
        mel = mel[None].to(self.decoder.dtype)
        x = F.gelu(self._encoder.conv2(F.gelu(self._encoder.conv1(mel))))[0].T
        x = x + self._positions[: len(x)]
        for layer in self._layers:
            x = layer(x)
        states: Tensor = self._encoder.ln_post(x)
        return states


def tail_clip() -> Samples:
    """The short recording that ships with the package; its speech ends within two seconds."""
    with (files("openmic.speech") / "data" / "tail.wav").open("rb") as file, wave.open(file) as reader:
        pcm = np.frombuffer(reader.readframes(reader.getnframes()), dtype="<i2")
    return pcm.astype(np.float32) / 32768.0
