"""Whisper's audio encoder over a short window, with the states of a silent tail behind it.

Whisper was trained on 30 s windows, and its decoder loops when it sees fewer states. Most of those states say the
same thing in every window: speech has ended, now there is silence. So only the window (and half a second of silence
after it) is encoded, and the states of a tail that was encoded once, at warm-up, are placed behind it up to the
model's full context. The tail must come from real speech that ended early in its own window: the states of pure
silence do not say that speech has ended, and make the decoder loop.

Nor is a growing window encoded anew at each step. A frame's states hardly change any more once it has heard
``SETTLED_SECONDS`` of what comes after it, so from then on its keys and values are kept, in every layer, and only
the frames behind it are worked out, attending to the kept ones (block processing with a cached left context, as in
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
from whisper.audio import HOP_LENGTH, N_FFT, mel_filters
from whisper.model import Whisper

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.model.decoder import CrossAttentionKV, Decoder
from openmic.speech.model.encoder import EncoderCache, EncoderLayer
from openmic.speech.model.linear import Precision
from openmic.speech.model.mel import normalized

FRAME_SAMPLES = 2 * HOP_LENGTH  # one encoder state stands for two mel frames:
FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE  # 0.02 s
PAD_SECONDS = 0.5  # silence encoded with the window, so that its last word ends inside it
TAIL_STATES = 200  # of the tail behind the window; without it the decoder loops, more hardly change anything
SETTLED_SECONDS = 1.0  # of audio behind a frame, after which its states are kept
MARGIN_FRAMES = 3  # before the first new one, for the convolutions and the Fourier transform to begin right


@dataclass(frozen=True, slots=True)
class Window:
    """An encoded window, ready to be decoded.

    Attributes:
        cross: what the decoder attends to, the tail included.
        frames: how many of its states stand for the window's own audio (the half second of silence included).
    """

    cross: CrossAttentionKV
    frames: int


class WindowEncoder:
    """Encodes windows of up to 29 s at the cost of their own length.

    Args:
        model: the loaded model.
        decoder: whose cross-attention keys and values are wanted.
        precision: of the encoder's matrices.
        tail_states: of the tail that is placed behind a window.
    """

    def __init__(self, model: Whisper, decoder: Decoder, precision: Precision, tail_states: int = TAIL_STATES) -> None:
        self.device = model.device
        self.n_mels = int(model.dims.n_mels)
        self.context = int(model.dims.n_audio_ctx)
        self.decoder = decoder
        self.tail_states = tail_states
        self._encoder = model.encoder
        self._positions = model.encoder.positional_embedding.to(decoder.dtype)
        self._layers = [EncoderLayer(block, precision) for block in model.encoder.blocks]
        clip = tail_clip()
        self._tail = decoder.cross_attention_kv(self._states(clip, self.context, EncoderCache(), 0))
        self._tail_begin = round(len(clip) / SAMPLE_RATE / FRAME_SECONDS) + 1  # before it the tail still speaks

    def window(self, samples: Samples, settled: EncoderCache | None = None) -> Window:
        """Encode ``samples``, shape (n,), float32, and splice the tail behind them.

        Args:
            samples: the whole window.
            settled: what was kept when its earlier part was encoded; it grows.

        Raises:
            ValueError: the window and its half second of silence are longer than the model's context.
        """
        frames = -(-(len(samples) + int(PAD_SECONDS * SAMPLE_RATE)) // FRAME_SAMPLES)
        if frames > self.context:
            raise ValueError(f"a window of {frames} states does not fit into {self.context}")
        settled = EncoderCache() if settled is None else settled
        old = settled.cross
        until = max(settled.frames, (len(samples) - round(SETTLED_SECONDS * SAMPLE_RATE)) // FRAME_SAMPLES)
        kept = until - settled.frames
        new = self.decoder.cross_attention_kv(self._states(samples, frames, settled, kept))
        if old is not None:
            new = CrossAttentionKV(_joined(old.keys, new.keys), _joined(old.values, new.values))
        if kept:
            settled.cross = CrossAttentionKV([k[:, :until] for k in new.keys], [v[:, :until] for v in new.values])
        return Window(
            CrossAttentionKV(self._spliced(new.keys, self._tail.keys), self._spliced(new.values, self._tail.values)),
            frames,
        )

    def windows(self, samples: Sequence[Samples], settled: Sequence[EncoderCache | None]) -> list[Window]:
        """``window`` for each of a batch."""
        return [self.window(*pair) for pair in zip(samples, settled, strict=True)]

    def _spliced(self, window: Sequence[Tensor], tail: Sequence[Tensor]) -> list[Tensor]:
        first = max(window[0].shape[1], self._tail_begin)
        last = first + self.tail_states
        return [torch.cat([near, far[:, first:last]], dim=1) for near, far in zip(window, tail, strict=True)]

    def _states(self, samples: Samples, frames: int, settled: EncoderCache, kept: int) -> Tensor:
        """Encoder states of the frames up to ``frames`` that are not settled, in the decoder's dtype.

        Returns:
            Shape (frames - settled.frames, n_audio_state); ``kept`` of them are settled afterwards.
        """
        first = settled.frames
        margin = min(MARGIN_FRAMES, first)
        part = samples[(first - margin) * FRAME_SAMPLES :]
        part = np.pad(part, (0, (frames - first + margin) * FRAME_SAMPLES - len(part)))
        power = self._log_mel_power(part)
        settled.loudest = max(settled.loudest, float(power.max()))
        mel = normalized(power, settled.loudest)[None].to(self.decoder.dtype)
        x = F.gelu(self._encoder.conv2(F.gelu(self._encoder.conv1(mel))))[0].T[margin:]
        x = x + self._positions[first:frames]
        for index, layer in enumerate(self._layers):
            x = layer(x, settled, index, kept)
        settled.frames += kept
        states: Tensor = self._encoder.ln_post(x)
        return states

    def _log_mel_power(self, samples: Samples) -> Tensor:
        """Log10 mel power of ``samples`` before Whisper's normalization, shape (n_mels, len(samples) / 160)."""
        window = torch.hann_window(N_FFT, device=self.device)
        audio = torch.from_numpy(samples).to(self.device)
        stft = torch.stft(audio, N_FFT, HOP_LENGTH, window=window, return_complex=True)[:, :-1]
        power: Tensor = mel_filters(self.device, self.n_mels) @ (stft.abs() ** 2)
        return power.clamp(min=1e-10).log10()


def _joined(first: Sequence[Tensor], second: Sequence[Tensor]) -> list[Tensor]:
    return [torch.cat(pair, dim=1) for pair in zip(first, second, strict=True)]


def tail_clip() -> Samples:
    """The short recording that ships with the package; its speech ends within two seconds."""
    with (files("openmic.speech") / "data" / "tail.wav").open("rb") as file, wave.open(file) as reader:
        pcm = np.frombuffer(reader.readframes(reader.getnframes()), dtype="<i2")
    return pcm.astype(np.float32) / 32768.0
