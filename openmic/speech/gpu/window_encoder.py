"""Many windows through the encoder together, for a GPU.

``WindowEncoder`` works out one window at a time, and of a growing one only what is new: on a processor that is the
least work. A GPU would wait for the some hundred launches of each window, so here the windows of a batch are padded to
a few lengths and go through each layer together. Of models whose encoder decides how long a step takes, what is settled
stays in slots (``settled_slots.py``) and only new states go through; a window for which no slot is free goes through
whole, as all windows of other models do. A window's states are the same as if it were encoded alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from whisper.model import Whisper

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.gpu.kv_slots import LaneKeys, WindowsTogether, bucket
from openmic.speech.gpu.settled_slots import SLOT_STATES, NewStates, SettledSlots, encoder_decides
from openmic.speech.model.attention import attended
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.encoder import EncoderCache
from openmic.speech.model.linear import Precision
from openmic.speech.model.mel import log_mel_power, normalized
from openmic.speech.model.units import MEL_FRAMES_PER_STATE, STATE_SAMPLES
from openmic.speech.model.upload import on_device
from openmic.speech.model.window_encoder import MARGIN_STATES, PAD_SECONDS, Window, WindowEncoder, settled_until

LENGTHS = (128, 256, 384, 512, 640, 832, 1024, 1280, 1500)  # encoder states that windows are padded to
NEW_LENGTHS = (64, 112, 128, 160, 192, 256, 384, 512, SLOT_STATES)  # new states: a step of 0.5 s has 101, of 1.5 151
PASS_BYTES = 1 << 30  # of activations in one pass, about
NUMBERS_OF_A_STATE = 16  # times the model's width: of one encoder state, between two layers' ends
NUMBERS_OF_A_COPY = 2 * SLOT_STATES  # times the width: of a layer's keys and values that are copied out of a slot

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Growing:
    """A window of so many ``states`` whose settled ones are in a slot."""

    samples: Samples
    states: int
    settled: EncoderCache
    slot: int


class BatchedWindowEncoder(WindowEncoder):
    """A ``WindowEncoder`` whose windows go through the model together.

    Attributes:
        most_states: in one pass, padding included: bounds the memory of activations, whatever the model's width.
        keeps_settled: settled states are kept where there are slots.
        slots: for them; none at first.
    """

    def __init__(self, model: Whisper, decoder: Decoder, precision: Precision) -> None:
        super().__init__(model, decoder, precision)
        self.most_states = states_of_a_pass(int(model.dims.n_audio_state), decoder.dtype)
        self._slots_of = partial(
            SettledSlots,
            layers=len(self.layers),
            heads=int(model.dims.n_audio_head),
            width=int(model.dims.n_audio_state),
            device=self.device,
            dtype=decoder.dtype,
        )
        self.keeps_settled = encoder_decides(int(model.dims.n_audio_state), len(self.layers), len(decoder.layers))
        self.allocate(0)

    @property
    def slot_bytes(self) -> int:
        """Memory of a window's settled states; 0 where they are not kept."""
        numbers: int = (2 * len(self.layers) + 1) * (SLOT_STATES + 1) * self._positions.shape[1]
        return numbers * self._positions.element_size() if self.keeps_settled else 0

    def allocate(self, slots: int) -> None:
        """Have so many slots for settled states, where they are kept, in the place of those before."""
        self.slots = self._slots_of(0)  # the memory of those before is free before it is taken anew
        if self.keeps_settled:
            self.slots = self._slots_of(slots)

    @torch.inference_mode()
    def load_kernels(self) -> None:
        """Encode a window of each length: kernels are loaded at their first use, which is no speaker's business."""

        def silence(length: int) -> Samples:
            return np.zeros(length * STATE_SAMPLES - SAMPLE_RATE, np.float32)

        self.windows([silence(length) for length in LENGTHS])
        for length in NEW_LENGTHS:
            self.windows([silence(length)], [EncoderCache()])

    @torch.inference_mode()
    def widest_pass(self) -> None:
        """The pass that takes most memory."""
        window = np.zeros((self.context - 1) * STATE_SAMPLES - round(PAD_SECONDS * SAMPLE_RATE), np.float32)
        self.windows([window] * max(1, self.most_states // LENGTHS[-1]))
        if self.slots.slots:
            number = min(self.slots.slots, self._windows_of_a_pass(SLOT_STATES))
            window = window[: (SLOT_STATES - 1) * STATE_SAMPLES - round(PAD_SECONDS * SAMPLE_RATE)]
            self.windows([window] * number, [EncoderCache() for _ in range(number)])

    def windows(self, samples: Sequence[Samples], settled: Sequence[EncoderCache | None] = ()) -> list[Window]:
        """Encode each of ``samples``, shape (n,), float32, as ``window`` does.

        Args:
            samples: whole windows.
            settled: what was kept when their earlier parts were encoded; it grows. Without, or where no slot is free, a
                window is encoded whole.

        Raises:
            ValueError: a window and its half second of silence are longer than the model's context.
        """
        whole: dict[int, list[int]] = {}
        growing: dict[tuple[int, int], list[tuple[int, int]]] = {}
        counts = [self.state_count(one) for one in samples]
        caches = list(settled) or [None] * len(samples)
        for place, (count, cache) in enumerate(zip(counts, caches, strict=True)):
            slot = None if cache is None else self.slots.slot_of(cache, count)
            if cache is None or slot is None:
                whole.setdefault(bucket(LENGTHS, count), []).append(place)
            else:
                key = min(MARGIN_STATES, cache.states), bucket(NEW_LENGTHS, count - cache.states)
                growing.setdefault(key, []).append((slot, place))
        found: dict[int, Window] = {}
        for length, places in whole.items():
            for part in _parts(places, max(1, self.most_states // length)):
                windows = self._together([samples[i] for i in part], [counts[i] for i in part], length)
                found.update(zip(part, windows, strict=True))
        for (margin, length), pairs in growing.items():
            for some in _parts(sorted(pairs), self._windows_of_a_pass(length)):
                part = [place for _, place in some]
                grown = [_Growing(samples[i], counts[i], cast(EncoderCache, caches[i]), slot) for slot, i in some]
                found.update(zip(part, self._grown(grown, margin, length), strict=True))
        return [found[i] for i in range(len(samples))]

    def _windows_of_a_pass(self, new: int) -> int:
        """How many windows with so many new states each go through together."""
        return max(1, self.most_states // (new + NUMBERS_OF_A_COPY // NUMBERS_OF_A_STATE))

    def _together(self, samples: Sequence[Samples], counts: Sequence[int], length: int) -> list[Window]:
        """Windows of ``counts`` states, all padded to ``length``."""
        encoded = self._padded_states(self._on_device(samples, length * STATE_SAMPLES), on_device(counts, self.device))
        return self._windows_of(encoded, counts)

    def _grown(self, windows: Sequence[_Growing], margin: int, length: int) -> list[Window]:
        """Windows in slots, ascending, of which up to ``length`` states behind ``margin`` more are new."""
        counts, slots = [one.states for one in windows], [one.slot for one in windows]
        numbers = on_device([[one.slot, one.settled.states, one.states] for one in windows], self.device).T
        new = NewStates(self.slots, slots, numbers, margin, length, bucket(LENGTHS, max(counts)))
        parts = [one.samples[(one.settled.states - margin) * STATE_SAMPLES :] for one in windows]
        power = log_mel_power(self._on_device(parts, (margin + length) * STATE_SAMPLES), self.n_mels)
        x = self._convolved(power, new.loudest(power), new.inside)[:, margin:]
        x = x + self._positions[new.along[:, margin:].clamp(max=self.context - 1)]
        encoded = new.encoded(self._through_layers(x, new.attended, new.keys_values))
        for one in windows:
            one.settled.states = settled_until(one.samples, one.settled)
        return self._windows_of(encoded, counts)

    def _windows_of(self, encoded: Tensor, counts: Sequence[int]) -> list[Window]:
        """Windows of ``counts`` states each, which are in ``encoded``, shape (windows, length, n_audio_state)."""
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
        x = self._convolved(power, power.amax(dim=(1, 2), keepdim=True), inside)
        return self._through_layers(x + self._positions[: x.shape[1]], inside, lambda layer, own: own)

    def _convolved(self, power: Tensor, loudest: Tensor, inside: Tensor) -> Tensor:
        """What the layers begin with but for positions, shape (windows, length, n_audio_state)."""
        mel = normalized(power, loudest)
        mel = (
            mel * inside.repeat_interleave(MEL_FRAMES_PER_STATE, dim=1)[:, None]
        )  # behind a window its convolutions see zeros
        x: Tensor = F.gelu(self._encoder.conv2(F.gelu(self._encoder.conv1(mel.to(self.decoder.dtype)))))
        return x.transpose(1, 2).contiguous()

    def _through_layers(self, x: Tensor, inside: Tensor, all_of: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Encoder states of ``x``, of the same shape: (windows, states, n_audio_state).

        Args:
            x: what the first layer gets.
            inside: which states are attended to, shape (windows, places).
            all_of: makes of a layer's number and its new keys and values, shape (windows, states, 2, heads, head
                width), those of all places.
        """
        mask = torch.zeros_like(inside, dtype=x.dtype).masked_fill(~inside, -torch.inf)[:, None, None]
        for index, layer in enumerate(self.layers):
            qkv = layer.qkv(layer.attn_ln(x)).view(*x.shape[:2], 3, layer.heads, -1)
            keys, values = all_of(index, qkv[:, :, 1:]).transpose(1, 3).unbind(2)
            found = attended(qkv[:, :, 0].transpose(1, 2), keys, values, mask)
            x = x + layer.out(found.transpose(1, 2).flatten(2))
            x = x + layer.down(F.gelu(layer.up(layer.mlp_ln(x))))
        states: Tensor = self._encoder.ln_post(x)
        return states


def states_of_a_pass(width: int, dtype: torch.dtype) -> int:
    """How many states of ``width`` numbers each go through together: as many bytes for every model."""
    return PASS_BYTES // (NUMBERS_OF_A_STATE * width * (torch.finfo(dtype).bits // 8))


def _parts(items: Sequence[Item], most: int) -> Iterator[Sequence[Item]]:
    return (items[first : first + most] for first in range(0, len(items), most))
