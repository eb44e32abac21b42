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
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.gpu.kv_slots import LaneKeys, WindowsTogether, bucket
from openmic.speech.model.attention import attended
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.encoder import EncoderCache
from openmic.speech.model.linear import Precision
from openmic.speech.model.mel import log_mel_power, normalized
from openmic.speech.model.units import MEL_FRAMES_PER_STATE, STATE_SAMPLES
from openmic.speech.model.upload import on_device
from openmic.speech.model.window_encoder import PAD_SECONDS, Window, WindowEncoder

log = logging.getLogger(__name__)

LENGTHS = (128, 256, 384, 512, 640, 832, 1024, 1280, 1500)  # encoder states that windows are padded to
PASS_BYTES = 1 << 30  # of activations in one pass, about
NUMBERS_OF_A_STATE = 16  # times the model's width: of one encoder state, between two layers' ends
AGREEMENT = 0.05  # of keys of windows encoded together and alone, relative; float16 rounds to some 0.005


class BatchedWindowEncoder(WindowEncoder):
    """A ``WindowEncoder`` whose windows go through the model together.

    Attributes:
        most_states: in one pass, padding included: bounds the memory of activations, whatever the model's width.
    """

    def __init__(self, model: Whisper, decoder: Decoder, precision: Precision) -> None:
        super().__init__(model, decoder, precision)
        self.most_states = states_of_a_pass(int(model.dims.n_audio_state), decoder.dtype)

    @torch.inference_mode()
    def widest_pass(self) -> None:
        """The pass that takes most memory."""
        window = np.zeros((self.context - 1) * STATE_SAMPLES - round(PAD_SECONDS * SAMPLE_RATE), np.float32)
        self.windows([window] * max(1, self.most_states // LENGTHS[-1]))

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
            most = max(1, self.most_states // length)
            for first in range(0, len(places), most):
                part = places[first : first + most]
                windows = self._together([samples[i] for i in part], [counts[i] for i in part], length)
                found.update(zip(part, windows, strict=True))
        return [found[i] for i in range(len(samples))]

    def _together(self, samples: Sequence[Samples], counts: Sequence[int], length: int) -> list[Window]:
        """Windows of ``counts`` states, all padded to ``length``."""
        encoded = self._padded_states(self._on_device(samples, length * STATE_SAMPLES), on_device(counts, self.device))
        begins = [max(count, self._tail_begin) for count in counts]
        wholes = [
            count + min(self.tail_states, self.context - begin) for count, begin in zip(counts, begins, strict=True)
        ]
        together = WindowsTogether(self.decoder, encoded, counts, self._tail, begins, self.tail_states, wholes)
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
        for layer in self.layers:
            qkv = layer.qkv(layer.attn_ln(x)).view(*x.shape[:2], 3, layer.heads, -1)
            query, key, value = qkv.permute(2, 0, 3, 1, 4)
            x = x + layer.out(attended(query, key, value, mask).transpose(1, 2).flatten(2))
            x = x + layer.down(F.gelu(layer.up(layer.mlp_ln(x))))
        states: Tensor = self._encoder.ln_post(x)
        return states


def states_of_a_pass(width: int, dtype: torch.dtype) -> int:
    """How many states of ``width`` numbers each go through together: as many bytes for every model."""
    return PASS_BYTES // (NUMBERS_OF_A_STATE * width * (torch.finfo(dtype).bits // 8))


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
