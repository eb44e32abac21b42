"""Many windows through the encoder together, for a GPU.

``WindowEncoder`` works out one window at a time, and of a growing one only what is new: on a processor that is the
least work. A GPU would wait for the some hundred launches of each window, so here the windows of a batch are padded to
a few lengths and go through each layer together, whole; and nothing is kept between steps, which for hundreds of
sessions would take more memory than the model. A window's states are the same as if it were encoded alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from whisper.model import Whisper

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.gpu.attention import attended
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.gpu.kv_slots import LaneKeys, WindowsTogether, bucket
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.encoder import EncoderCache
from openmic.speech.model.linear import Precision
from openmic.speech.model.mel import log_mel_power, normalized
from openmic.speech.model.units import MEL_FRAMES_PER_STATE, STATE_SAMPLES
from openmic.speech.model.window_encoder import PAD_SECONDS, Window, WindowEncoder

log = logging.getLogger(__name__)

LENGTHS = (128, 256, 384, 512, 640, 832, 1024, 1280, 1500)  # encoder states that windows are padded to
MOST_STATES = 32_768  # in one pass, padding included: bounds the memory of activations
AGREEMENT = 0.05  # of keys of windows encoded together and alone, relative; float16 rounds to some 0.005


class BatchedWindowEncoder(WindowEncoder):
    """A ``WindowEncoder`` whose windows go through the model together."""

    def windows(self, samples: Sequence[Samples], settled: Sequence[EncoderCache | None] = ()) -> list[Window]:
        """Encode each of ``samples``, shape (n,), float32, as ``window`` does.

        Args:
            samples: whole windows.
            settled: of no use here: windows are encoded whole.

        Raises:
            ValueError: a window and its half second of silence are longer than the model's context.
        """
        groups: dict[int, list[int]] = {}
        counts = [-(-(len(s) + int(PAD_SECONDS * SAMPLE_RATE)) // STATE_SAMPLES) for s in samples]
        for place, count in enumerate(counts):
            if count > self.context:
                raise ValueError(f"a window of {count} states does not fit into {self.context}")
            groups.setdefault(bucket(LENGTHS, count), []).append(place)
        found: dict[int, Window] = {}
        for length, places in groups.items():
            most = max(1, MOST_STATES // length)
            for first in range(0, len(places), most):
                part = places[first : first + most]
                windows = self._together([samples[i] for i in part], [counts[i] for i in part], length)
                found.update(zip(part, windows, strict=True))
        return [found[i] for i in range(len(samples))]

    def _together(self, samples: Sequence[Samples], counts: Sequence[int], length: int) -> list[Window]:
        """Windows of ``counts`` states, all padded to ``length``."""
        state_counts = torch.tensor(counts, device=self.device)
        states = self._padded_states(self._on_device(samples, length * STATE_SAMPLES), state_counts)
        flat = self.decoder.cross_attention_kv(states.flatten(0, 1))
        tail_begins = state_counts.clamp(min=self._tail_begin)
        keys = [
            self._with_tails(k, far, state_counts, tail_begins)
            for k, far in zip(flat.keys, self._tail.keys, strict=True)
        ]
        values = [
            self._with_tails(v, far, state_counts, tail_begins)
            for v, far in zip(flat.values, self._tail.values, strict=True)
        ]
        wholes = [count + min(self.tail_states, self.context - max(count, self._tail_begin)) for count in counts]
        together = WindowsTogether(keys, values, wholes)
        return [Window(LaneKeys(together, lane), count) for lane, count in enumerate(counts)]

    def _on_device(self, samples: Sequence[Samples], length: int) -> Tensor:
        """The samples one under another, silence behind each; on a GPU through memory that it can read by itself."""
        staged = torch.empty((len(samples), length), pin_memory=self.device.type == "cuda")
        rows = staged.numpy()
        for row, one in zip(rows, samples, strict=True):
            row[: len(one)] = one
            row[len(one) :] = 0.0
        return staged.to(self.device, non_blocking=True)

    def _padded_states(self, audio: Tensor, state_counts: Tensor) -> Tensor:
        """Encoder states of ``audio``, shape (windows, length * 320); shape (windows, length, n_audio_state)."""
        inside = torch.arange(audio.shape[1] // STATE_SAMPLES, device=self.device) < state_counts[:, None]
        power = log_mel_power(audio, self.n_mels)
        mel = normalized(power, power.amax(dim=(1, 2), keepdim=True))
        mel = (
            mel * inside.repeat_interleave(MEL_FRAMES_PER_STATE, dim=1)[:, None]
        )  # behind a window its convolutions see zeros
        x = (
            F.gelu(self._encoder.conv2(F.gelu(self._encoder.conv1(mel.to(self.decoder.dtype)))))
            .transpose(1, 2)
            .contiguous()
        )
        x = x + self._positions[: x.shape[1]]
        mask = torch.zeros_like(inside, dtype=x.dtype).masked_fill(~inside, -torch.inf)[:, None, None]
        for layer in self._layers:
            qkv = layer.qkv(layer.attn_ln(x)).view(*x.shape[:2], 3, layer.heads, -1)
            query, key, value = qkv.permute(2, 0, 3, 1, 4)
            x = x + layer.out(attended(query, key, value, mask).transpose(1, 2).flatten(2))
            x = x + layer.down(F.gelu(layer.up(layer.mlp_ln(x))))
        states: Tensor = self._encoder.ln_post(x)
        return states

    def _with_tails(self, near: Tensor, far: Tensor, state_counts: Tensor, tail_begins: Tensor) -> Tensor:
        """Put the tail behind each window.

        Args:
            near: of all windows one after another, shape (heads, windows * length, head_width).
            far: of the tail, shape (heads, n_audio_ctx, head_width).
            state_counts: of each window, shape (windows,).
            tail_begins: where in the tail each window goes on, shape (windows,).

        Returns:
            Shape (windows, length + tail_states, heads, head_width).
        """
        windows, (heads, _, width) = len(state_counts), near.shape
        spliced = F.pad(near.transpose(0, 1).reshape(windows, -1, heads, width), (0, 0, 0, 0, 0, self.tail_states))
        steps = torch.arange(self.tail_states, device=self.device)
        source = (tail_begins[:, None] + steps).clamp(max=self.context - 1)
        lanes = torch.arange(windows, device=self.device)[:, None]
        spliced[lanes, state_counts[:, None] + steps] = far.transpose(0, 1)[source]
        return spliced


def encoder_for(model: Whisper, decoder: Decoder, precision: Precision) -> WindowEncoder:
    """The encoder for the device that ``model`` is on: batched where ``decoder`` is and where it is right, else not."""
    if not isinstance(decoder, BatchedDecoder):
        return WindowEncoder(model, decoder, precision)
    encoder = BatchedWindowEncoder(model, decoder, precision)
    try:
        wrong = None if agrees(encoder) else "says something else than windows one by one"
    except RuntimeError as failure:  # torch's own errors, CUDA's and out of memory are all of this kind
        wrong = f"fails ({failure})"
    if wrong is None:
        if model.device.type == "cuda":  # kernels are loaded at their first use, which is no speaker's business
            encoder.windows([np.zeros(length * STATE_SAMPLES - SAMPLE_RATE, np.float32) for length in LENGTHS])
        return encoder
    log.warning("batched encoding %s on %s; windows are encoded one by one", wrong, model.device)
    return WindowEncoder(model, decoder, precision)


@torch.inference_mode()
def agrees(encoder: BatchedWindowEncoder) -> bool:
    """Whether windows encoded together are the same as encoded alone."""
    generator = np.random.default_rng(0)
    samples = [generator.normal(0, 0.1, round(s * SAMPLE_RATE)).astype(np.float32) for s in (0.7, 3.0, 2.2)]
    for one, window in zip(samples, encoder.windows(samples), strict=True):
        alone = encoder.window(one).cross
        for ours, other in ((window.cross.keys, alone.keys), (window.cross.values, alone.values)):
            a, b = torch.stack(list(ours)).float(), torch.stack(list(other)).float()
            if a.shape != b.shape or not bool((a - b).norm() <= AGREEMENT * b.norm()):  # nor where it is not a number
                return False
    return True
