"""Whisper's text decoder for a GPU: few launches, fixed shapes, whatever the number of rows.

The ragged decoder (``model/decoder.py``) goes from row to row for attention. That wastes nothing on a processor; a GPU
would wait for thousands of launches. Here the rows' keys and values are in slots (``kv_slots.py``), and one padded
attention per layer serves all rows. Rows, tokens, cache lengths and states are rounded up to a few sizes, so shapes
come back from step to step, and the step of one token per row, which decoding mostly is, is replayed as a CUDA graph
(``cuda_graphs.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from whisper.model import Whisper

from openmic.speech.gpu.attention import attended
from openmic.speech.gpu.cuda_graphs import Capture, Step, StepGraphs
from openmic.speech.gpu.kv_slots import KVSlotPool, LaneKeys, SlotRow, SlotShape, bucket
from openmic.speech.gpu.token_attention import spans_of_a_pass, token_attention
from openmic.speech.model.decoder import CrossAttentionKV, Decoder, Row, TokenSpan, check_room
from openmic.speech.model.linear import Precision

ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
TOKEN_BUCKETS = (1, 9, 16, 33, 64, 128, 224, 448)  # fed to a row in one pass; 9 and 33: a token and a draft
CACHE_BUCKETS = (64, 128, 256, 448)  # places of the self-attention cache that are looked at
STEP_CACHE = (128, 448)  # the same for a step of one token: fewer, since each is recorded
STATE_BUCKETS = (416, 832, 1504)  # encoder states; multiples of 16, as the attention kernels want masks to be
POOL_STATES = (832, 1504)  # live windows of up to 12.1 s with their silence and tail; longer ones, and final windows
MOST_TOKENS = 16_384  # in one pass, padding included: bounds the memory of activations


class StepShape(NamedTuple):
    """A step of one token per row: which pool, and the sizes it is rounded up to."""

    pool: int
    rows: int
    cache: int
    states: int


class _Lanes(NamedTuple):
    """A padded batch on the device; all int64.

    Attributes:
        slots: shape (rows,); padding names the first row's.
        tokens, places: shape (rows, tokens); padding writes to the pool's padding place.
        states: encoder states of each row, shape (rows,).
    """

    slots: Tensor
    tokens: Tensor
    places: Tensor
    states: Tensor


class _StepTensors(NamedTuple):
    """What a step reads and writes, at addresses that stay: lanes' numbers (4, rows), and (token, log-probability)."""

    numbers: Tensor
    output: Tensor


class BatchedDecoder(Decoder):
    """openai-whisper's decoder weights with keys and values of all rows in slots.

    Rows for which no slot is free, and rows with a capacity of their own, have tensors of their own and are worked out
    by the ragged decoder: a full pool makes steps slower, never wrong.

    Args:
        model: the loaded model (its parameters are read once, here).
        precision: of the matrices; not int8.
        slots: how many for rows of each of ``POOL_STATES``.
        capture: records a step; None runs every step as it is.

    Attributes:
        pools: slots of ``POOL_STATES`` encoder states, the smaller ones first.
        graphs: the recorded steps.
        aligned_heads: of each alignment head its layer's place in the pools' queries, its layer and its place there,
            shape (3, alignment heads), int64.
    """

    def __init__(
        self, model: Whisper, precision: Precision, slots: Sequence[int], capture: Capture | None = None
    ) -> None:
        super().__init__(model, precision)
        self.pools = [
            KVSlotPool(count, slot_shape(model, states), self.device, self.dtype)
            for count, states in zip(slots, POOL_STATES, strict=True)
        ]
        self.graphs = StepGraphs(capture)
        self._aligned_place = {layer: place for place, layer in enumerate(self.alignment_heads)}
        pairs = [(layer, head) for layer, heads in self.alignment_heads.items() for head in heads]
        self.aligned_heads = torch.tensor(
            [(self._aligned_place[layer], layer, head) for layer, head in pairs], device=self.device
        ).T
        self._steps = {
            rows: _StepTensors(
                torch.zeros((4, rows), dtype=torch.int64, device=self.device),
                torch.zeros((2, rows), dtype=torch.float32, device=self.device),
            )
            for rows in ROW_BUCKETS
        }
        self._never: Tensor | None = None
        self._forbidden = torch.zeros(len(self.embedding), device=self.device)  # added to scores

    def row(self, cross: CrossAttentionKV, capacity: int | None = None) -> Row:
        """See ``Decoder.row``; a row without a ``capacity`` gets the smallest slot that is free and large enough."""
        if capacity is None:
            for pool in self.pools:
                if row := pool.take(cross):
                    return row
        return super().row(cross, capacity)

    def rows(self, windows: Sequence[CrossAttentionKV]) -> list[Row]:
        """See ``Decoder.rows``; windows that were worked out together take their slots together."""
        groups: dict[int, list[int]] = {}
        for place, window in enumerate(windows):
            if isinstance(window, LaneKeys):
                groups.setdefault(id(window.together), []).append(place)
        found: dict[int, Row] = {}
        for places in groups.values():
            lanes = [cast(LaneKeys, windows[place]) for place in places]
            widest = max(lane.states for lane in lanes)
            for pool in self.pools:
                if pool.free and pool.shape.states >= widest:
                    taken = pool.take_together(lanes[0].together, [one.lane for one in lanes[: pool.free]])
                    found.update(zip(places, taken, strict=False))
                    break
        return [found[place] if place in found else self.row(window) for place, window in enumerate(windows)]

    def forward(self, rows: Sequence[Row], tokens: Sequence[Sequence[int]]) -> list[Tensor]:
        """See ``Decoder.forward``."""
        counts = [len(row_tokens) for row_tokens in tokens]
        check_room(rows, counts)
        hidden: dict[int, Tensor] = {}
        for pool, places in self._groups(rows, counts):
            part, fed = [rows[i] for i in places], [tokens[i] for i in places]
            found = super().forward(part, fed) if pool is None else self._pass(pool, _in_slots(part), fed)
            hidden.update(zip(places, found, strict=True))
        return [hidden[i] for i in range(len(rows))]

    def choose(self, rows: Sequence[Row], tokens: Sequence[int], never: Tensor) -> tuple[list[int], list[float]]:
        """See ``Decoder.choose``; all but the chosen tokens stays on the device."""
        check_room(rows, [1] * len(rows))
        chosen, logprobs = [0] * len(rows), [0.0] * len(rows)
        for pool, places in self._groups(rows, [1] * len(rows)):
            part, fed = [rows[i] for i in places], [tokens[i] for i in places]
            found = super().choose(part, fed, never) if pool is None else self._step(pool, _in_slots(part), fed, never)
            for place, token, logprob in zip(places, *found, strict=True):
                chosen[place], logprobs[place] = token, logprob
        return chosen, logprobs

    def record(self, shape: StepShape) -> None:
        """Record a step of ``shape`` over whatever its slots hold; not while rows are decoded."""
        slots = torch.arange(shape.rows, device=self.device)
        numbers = torch.stack([slots, slots, torch.full_like(slots, shape.cache - 1), torch.ones_like(slots)])
        self._steps[shape.rows].numbers.copy_(numbers)
        self.graphs.record(shape, self._work(shape), self._steps[shape.rows].output)

    def token_attention(self, spans: Sequence[TokenSpan]) -> list[NDArray[np.float64]]:
        """See ``Decoder.token_attention``; rows in slots go through it together."""
        found: dict[int, NDArray[np.float64]] = {}
        groups: dict[int, list[int]] = {}
        for place, span in enumerate(spans):
            if isinstance(span.row, SlotRow):
                groups.setdefault(self.pools.index(span.row.pool), []).append(place)
            else:
                found[place] = super().token_attention([span])[0]
        heads = sum(map(len, self.alignment_heads.values()))
        for pool, places in groups.items():
            most = spans_of_a_pass([spans[i] for i in places], heads)
            for first in range(0, len(places), most):
                part = places[first : first + most]
                matrices = token_attention(self, self.pools[pool], [spans[i] for i in part])
                found.update(zip(part, matrices, strict=True))
        return [found[place] for place in range(len(spans))]

    def _aligned(self, row: Row, layer: int) -> tuple[Tensor, Tensor]:
        if not isinstance(row, SlotRow):
            return super()._aligned(row, layer)
        queries = row.pool.queries[self._aligned_place[layer], row.slot]
        return queries.transpose(0, 1), row.pool.cross_keys[layer, row.slot].transpose(0, 1)

    def _groups(self, rows: Sequence[Row], counts: Sequence[int]) -> Iterator[tuple[KVSlotPool | None, list[int]]]:
        """Rows that go through one pass: of one pool, with about as many tokens; the ragged ones have no pool."""
        groups: dict[tuple[int, int], list[int]] = {}
        for place, (row, count) in enumerate(zip(rows, counts, strict=True)):
            key = (self.pools.index(row.pool), bucket(TOKEN_BUCKETS, count)) if isinstance(row, SlotRow) else (-1, 0)
            groups.setdefault(key, []).append(place)
        for (pool, width), places in groups.items():
            if pool < 0:
                yield None, places
                continue
            most = max(size for size in ROW_BUCKETS if size * width <= MOST_TOKENS)
            for first in range(0, len(places), most):
                yield self.pools[pool], places[first : first + most]

    def _pass(self, pool: KVSlotPool, rows: Sequence[SlotRow], tokens: Sequence[Sequence[int]]) -> list[Tensor]:
        """Feed rows of one pool many tokens each."""
        counts = [len(row_tokens) for row_tokens in tokens]
        lanes, width = bucket(ROW_BUCKETS, len(rows)), bucket(TOKEN_BUCKETS, max(counts))
        spare = lanes - len(rows)
        fed = [[*row_tokens, *[0] * (width - len(row_tokens))] for row_tokens in tokens]
        places = [
            [*range(row.length, row.length + count), *[pool.padding] * (width - count)]
            for row, count in zip(rows, counts, strict=True)
        ]
        x = self._layers_over(
            pool,
            _Lanes(
                self._numbers([*(row.slot for row in rows), *[rows[0].slot] * spare]),
                self._numbers([*fed, *[[0] * width] * spare]),
                self._numbers([*places, *[[pool.padding] * width] * spare]),
                self._numbers([*(row.states for row in rows), *[1] * spare]),
            ),
            bucket(CACHE_BUCKETS, max(row.length + count for row, count in zip(rows, counts, strict=True))),
            bucket(STATE_BUCKETS, max(row.states for row in rows)),
        )
        for row, count in zip(rows, counts, strict=True):
            row.length += count
        return [x[lane, :count] for lane, count in enumerate(counts)]

    def _step(
        self, pool: KVSlotPool, rows: Sequence[SlotRow], tokens: Sequence[int], never: Tensor
    ) -> tuple[list[int], list[float]]:
        """Feed rows of one pool one token each, and choose the next ones."""
        if never is not self._never:
            self._forbidden.zero_()
            self._forbidden[never] = -torch.inf
            self._never = never
        shape = StepShape(
            self.pools.index(pool),
            bucket(ROW_BUCKETS, len(rows)),
            bucket(STEP_CACHE, max(row.length for row in rows) + 1),
            bucket(STATE_BUCKETS, max(row.states for row in rows)),
        )
        shape = self._recorded(shape)
        lanes = [(row.slot, token, row.length, row.states) for row, token in zip(rows, tokens, strict=True)]
        lanes += [(rows[0].slot, 0, pool.padding, 1)] * (shape.rows - len(rows))
        tensors = self._steps[shape.rows]
        tensors.numbers.copy_(torch.tensor(lanes).T)
        self.graphs.run(shape, self._work(shape))
        for row in rows:
            row.length += 1
        chosen, logprobs = tensors.output[:, : len(rows)].tolist()
        return [int(token) for token in chosen], logprobs

    def _recorded(self, shape: StepShape) -> StepShape:
        """The smallest recorded shape that holds ``shape``, or that itself where there is none."""
        larger = (
            cast(StepShape, key)
            for key in self.graphs.keys
            if cast(StepShape, key).pool == shape.pool and all(a >= b for a, b in zip(key, shape, strict=True))  # type: ignore[call-overload]
        )
        return min(larger, default=shape, key=lambda key: key.rows * (key.cache + key.states))

    def _work(self, shape: StepShape) -> Step:
        pool, tensors = self.pools[shape.pool], self._steps[shape.rows]

        def step() -> None:
            slots, tokens, places, states = tensors.numbers
            lanes = _Lanes(slots, tokens[:, None], places[:, None], states)
            hidden = self._layers_over(pool, lanes, shape.cache, shape.states)[:, 0]
            scores = self.logits(hidden).add_(self._forbidden)
            best, chosen = scores.max(dim=-1)
            tensors.output[0].copy_(chosen)  # exact: float32 counts to 16,777,216
            tensors.output[1].copy_(best - scores.logsumexp(dim=-1))

        return step

    def _layers_over(self, pool: KVSlotPool, lanes: _Lanes, cache: int, states: int) -> Tensor:
        """Hidden states of a padded batch, shape (rows, tokens, n_text_state); fills the slots' keys and values."""
        rows, width = lanes.tokens.shape
        heads = (rows, width, self.heads, self.head_width)
        slots, places = lanes.slots[:, None], lanes.places
        seen = self._mask(places[:, None, :, None] >= torch.arange(cache, device=self.device))
        inside = self._mask(lanes.states[:, None, None, None] > torch.arange(states, device=self.device))
        x = F.embedding(lanes.tokens, self.embedding) + self.positions[places.clamp(max=self.context - 1)]
        for index, layer in enumerate(self.layers):
            query, key, value = layer.qkv(layer.attn_ln(x)).view(rows, width, 3, *heads[2:]).unbind(2)
            pool.keys[index][slots, places] = key
            pool.values[index][slots, places] = value
            near = pool.keys[index, :, :cache], pool.values[index, :, :cache]
            x = x + layer.out(_attended_slots(query, *near, lanes.slots, seen))
            query = layer.cross_query(layer.cross_ln(x)).view(heads)
            if index in self._aligned_place:
                pool.queries[self._aligned_place[index]][slots, places] = query
            far = pool.cross_keys[index, :, :states], pool.cross_values[index, :, :states]
            x = x + layer.cross_out(_attended_slots(query, *far, lanes.slots, inside))
            x = x + layer.down(F.gelu(layer.up(layer.mlp_ln(x))))
        normed: Tensor = self.norm(x)
        return normed

    def _mask(self, allowed: Tensor) -> Tensor:
        return torch.zeros_like(allowed, dtype=self.dtype).masked_fill(~allowed, -torch.inf)

    def _numbers(self, values: Sequence[int] | Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor(values, device=self.device)


def _attended_slots(queries: Tensor, keys: Tensor, values: Tensor, slots: Tensor, mask: Tensor) -> Tensor:
    """Attention of padded ``queries``, shape (rows, tokens, heads, width), to what is in the rows' ``slots``."""
    rows, width = queries.shape[:2]
    keys, values = (pool.index_select(0, slots).transpose(1, 2) for pool in (keys, values))
    found = attended(queries.transpose(1, 2), keys, values, mask)
    return found.transpose(1, 2).reshape(rows, width, -1)


def _in_slots(rows: Sequence[Row]) -> Sequence[SlotRow]:
    return cast(Sequence[SlotRow], rows)


def slot_shape(model: Whisper, states: int) -> SlotShape:
    """Of a slot for rows of ``model`` that attend to up to ``states`` encoder states."""
    dims, aligned = model.dims, set(model.alignment_heads.indices()[0].tolist())
    heads = int(dims.n_text_head)
    return SlotShape(
        int(dims.n_text_layer), len(aligned), heads, int(dims.n_text_state) // heads, int(dims.n_text_ctx), states
    )
