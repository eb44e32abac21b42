"""Whisper's text decoder for a GPU: few launches, fixed shapes, whatever the number of rows.

The ragged decoder (``model/decoder.py``) goes from row to row for attention. That wastes nothing on a processor; a GPU
would wait for thousands of launches. Here the rows' keys and values are in slots (``kv_slots.py``), and one padded
attention per layer serves all rows where they are: the lanes of a batch are slots side by side. Lanes, tokens, cache
lengths and states are rounded up to a few sizes, so shapes come back from step to step, and the step of one token per
row, which decoding mostly is, is replayed as a CUDA graph (``cuda_graphs.py``).
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

from openmic.speech.gpu.cuda_graphs import Capture, Step, StepGraphs
from openmic.speech.gpu.kv_slots import KVSlotPool, LaneKeys, SlotRow, SlotShape, WindowsTogether, bucket, finite_
from openmic.speech.gpu.token_attention import spans_of_a_pass, token_attention
from openmic.speech.model.attention import attended
from openmic.speech.model.decoder import MOST_SCORES, CrossAttentionKV, Decoder, Row, TokenSpan, check_room
from openmic.speech.model.linear import Precision, linear
from openmic.speech.model.upload import on_device

ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
TOKEN_BUCKETS = (1, 9, 16, 33, 64, 128, 224, 448)  # fed to a row in one pass; 9 and 33: a token and a draft
CACHE_BUCKETS = (64, 128, 256, 448)  # places of the self-attention cache that are looked at
STEP_CACHE = (128, 448)  # the same for a step of one token: fewer, since each is recorded
STATE_BUCKETS = (416, 832, 1504)  # encoder states; multiples of 16, as the attention kernels want masks to be
POOL_STATES = (832, 1504)  # live windows of up to 12.1 s with their silence and tail; longer ones, and final windows
MOST_TOKENS = 16_384  # in one pass, padding included: bounds the memory of activations
MOST_GAP = 4  # lanes of other rows between two rows of a pass of many tokens; more are another pass
VOCABULARY_MULTIPLE = 64  # scores' rows of such a length are aligned, as matrix products want them; Whisper's is odd


class StepShape(NamedTuple):
    """A step of one token per row: which pool, how many of its first lanes, and the sizes it is rounded up to."""

    pool: int
    rows: int
    cache: int
    states: int


class _Lanes(NamedTuple):
    """A padded batch: slots side by side, and on the device, all int64, what each is fed.

    Attributes:
        first: the first lane's slot.
        tokens, places: shape (lanes, tokens); padding, and a lane that is in no row, writes to the padding place.
        states: encoder states of each lane, shape (lanes,).
    """

    first: int
    tokens: Tensor
    places: Tensor
    states: Tensor


class _StepTensors(NamedTuple):
    """What a step reads and writes, at addresses that stay: (token, place, states) and (token, log-probability)."""

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
        self.allocate(slots)
        self.graphs = StepGraphs(capture)
        self._aligned_place = {layer: place for place, layer in enumerate(self.alignment_heads)}
        pairs = [(layer, head) for layer, heads in self.alignment_heads.items() for head in heads]
        self.aligned_heads = torch.tensor(
            [(self._aligned_place[layer], layer, head) for layer, head in pairs], device=self.device
        ).T
        self._steps: dict[int, _StepTensors] = {}
        self._never: Tensor | None = None
        self.words = len(self.embedding)
        padded = F.pad(self.embedding, (0, 0, 0, -self.words % VOCABULARY_MULTIPLE))
        self.embedding = padded[: self.words]  # the same memory
        self.vocabulary = linear(padded, None, precision)
        self._forbidden = torch.zeros(len(padded), device=self.device, dtype=self.dtype)  # added to scores
        self.along = torch.arange(max(STATE_BUCKETS[-1], CACHE_BUCKETS[-1]), device=self.device)

    def allocate(self, slots: Sequence[int]) -> None:
        """Have so many slots for rows of each of ``POOL_STATES``, in the place of those before, which nobody uses."""
        self.pools: list[KVSlotPool] = []  # their memory is free before it is taken anew
        for count, states in zip(slots, POOL_STATES, strict=True):
            self.pools.append(KVSlotPool(count, slot_shape(self, states), self.device, self.dtype))

    @property
    def windows_together(self) -> int:
        """See ``Decoder.windows_together``: as many as there are wide slots."""
        return max(1, self.pools[-1].slots) if self.pools else 1

    @property
    def rows_together(self) -> int | None:
        """See ``Decoder.rows_together``: a row more would be worked out alone."""
        return self.pools[0].slots or None if self.pools else None

    @torch.inference_mode()
    def widest_pass(self) -> None:
        """The pass that takes most memory, over the padding of as many slots as it can have."""
        pool = self.pools[0]
        lanes = max(size for size in lane_sizes(pool) if size * TOKEN_BUCKETS[0] <= MOST_TOKENS)
        width = max(size for size in TOKEN_BUCKETS if lanes * size <= MOST_TOKENS)
        numbers = np.zeros((lanes, width), np.int64)
        tokens, ones = on_device(numbers, self.device), on_device(numbers[:, 0] + 1, self.device)
        lane = _Lanes(0, tokens, torch.full_like(tokens, pool.padding), ones)
        self._layers_over(pool, lane, CACHE_BUCKETS[-1], POOL_STATES[0])

    @torch.inference_mode()
    def widest_scores(self) -> None:
        """As many scores as are looked at together."""
        hidden = torch.zeros((MOST_SCORES, self.heads * self.head_width), device=self.device, dtype=self.dtype)
        self.logits(hidden).logsumexp(dim=-1)

    def row(self, cross: CrossAttentionKV, capacity: int | None = None) -> Row:
        """See ``Decoder.row``; a row without a ``capacity`` gets the smallest slot that is free and large enough."""
        if capacity is None:
            for pool in self.pools:
                if row := pool.take(cross):
                    return row
        return super().row(cross.alone if isinstance(cross, LaneKeys) else cross, capacity)

    def rows(self, windows: Sequence[CrossAttentionKV], feeds: Sequence[int] = ()) -> list[Row]:
        """See ``Decoder.rows``; rows that will be fed about as many tokens get slots side by side, to be one pass."""
        order = sorted(range(len(windows)), key=feeds.__getitem__) if feeds else range(len(windows))
        claimed: dict[int, SlotRow] = {}
        groups: dict[tuple[int, int], list[int]] = {}
        for place in order:
            window = windows[place]
            if not isinstance(window, LaneKeys):
                continue
            for number, pool in enumerate(self.pools):
                if pool.free and pool.shape.states >= window.states:
                    claimed[place] = pool.claim(window.states)
                    groups.setdefault((id(window.together), number), []).append(place)
                    break
        for (_, number), places in groups.items():
            lanes = sorted((cast(LaneKeys, windows[place]).lane, place) for place in places)
            together: WindowsTogether = cast(LaneKeys, windows[places[0]]).together
            self.pools[number].fill([claimed[place] for _, place in lanes], together, [lane for lane, _ in lanes])
        return [claimed[place] if place in claimed else self.row(window) for place, window in enumerate(windows)]

    def logits(self, hidden: Tensor) -> Tensor:
        """See ``Decoder.logits``."""
        return self.vocabulary(hidden)[:, : self.words].float()

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
        tensors = self._step_tensors(shape.rows)
        tensors.numbers.copy_(on_device([[lane, shape.cache - 1, 1] for lane in range(shape.rows)], self.device).T)
        self.graphs.record(shape, self._work(shape), tensors.output)

    def _step_tensors(self, rows: int) -> _StepTensors:
        if rows not in self._steps:
            self._steps[rows] = _StepTensors(
                torch.zeros((3, rows), dtype=torch.int64, device=self.device),
                torch.zeros((2, rows), dtype=torch.float32, device=self.device),
            )
        return self._steps[rows]

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
            part: list[int] = []
            for place in sorted(places, key=lambda place: _slot(rows[place])):
                lane = _slot(rows[place])
                apart = width > 1 and part and lane - _slot(rows[part[-1]]) > MOST_GAP
                if part and (apart or lane - _slot(rows[part[0]]) >= most):
                    yield self.pools[pool], part
                    part = []
                part.append(place)
            yield self.pools[pool], part

    def _pass(self, pool: KVSlotPool, rows: Sequence[SlotRow], tokens: Sequence[Sequence[int]]) -> list[Tensor]:
        """Feed rows of one pool, in the order of their slots, many tokens each."""
        counts = [len(row_tokens) for row_tokens in tokens]
        width = bucket(TOKEN_BUCKETS, max(counts))
        lanes = bucket(lane_sizes(pool), rows[-1].slot - rows[0].slot + 1)
        first = min(rows[0].slot, pool.slots - lanes)
        numbers = np.zeros((lanes, 2 * width + 1), np.int64)
        numbers[:, width:-1] = pool.padding
        numbers[:, -1] = 1
        for row, fed in zip(rows, tokens, strict=True):
            lane = numbers[row.slot - first]
            lane[: len(fed)] = fed
            lane[width : width + len(fed)] = range(row.length, row.length + len(fed))
            lane[-1] = row.states
        fed_lanes = on_device(numbers, self.device)
        x = self._layers_over(
            pool,
            _Lanes(first, fed_lanes[:, :width], fed_lanes[:, width:-1], fed_lanes[:, -1]),
            bucket(CACHE_BUCKETS, max(row.length + count for row, count in zip(rows, counts, strict=True))),
            bucket(STATE_BUCKETS, max(row.states for row in rows)),
        )
        for row, count in zip(rows, counts, strict=True):
            row.length += count
        return [x[row.slot - first, :count] for row, count in zip(rows, counts, strict=True)]

    def _step(
        self, pool: KVSlotPool, rows: Sequence[SlotRow], tokens: Sequence[int], never: Tensor
    ) -> tuple[list[int], list[float]]:
        """Feed rows of one pool one token each, and choose the next ones."""
        if never is not self._never:
            self._forbidden.zero_()
            self._forbidden[never] = -torch.inf
            self._forbidden[self.words :] = -torch.inf
            self._never = never
        slots = [row.slot for row in rows]
        shape = StepShape(
            self.pools.index(pool),
            bucket(lane_sizes(pool), max(slots) + 1),
            bucket(STEP_CACHE, max(row.length for row in rows) + 1),
            bucket(STATE_BUCKETS, max(row.states for row in rows)),
        )
        shape = self._recorded(shape)
        numbers = np.empty((3, shape.rows), np.int64)
        numbers[:] = [[0], [pool.padding], [1]]
        numbers[:, slots] = np.array([(t, row.length, row.states) for t, row in zip(tokens, rows, strict=True)]).T
        tensors = self._step_tensors(shape.rows)
        tensors.numbers.copy_(on_device(numbers, self.device))
        self.graphs.run(shape, self._work(shape))
        for row in rows:
            row.length += 1
        chosen, logprobs = tensors.output.tolist()
        return [int(chosen[slot]) for slot in slots], [logprobs[slot] for slot in slots]

    def _recorded(self, shape: StepShape) -> StepShape:
        """The smallest recorded shape that holds ``shape``, or that itself where there is none."""
        larger = (
            cast(StepShape, key)
            for key in self.graphs.keys
            if cast(StepShape, key).pool == shape.pool and all(a >= b for a, b in zip(key, shape, strict=True))  # type: ignore[call-overload]
        )
        return min(larger, default=shape, key=lambda key: key.rows * (key.cache + key.states))

    def _work(self, shape: StepShape) -> Step:
        pool, tensors = self.pools[shape.pool], self._step_tensors(shape.rows)

        def step() -> None:
            tokens, places, states = tensors.numbers
            lanes = _Lanes(0, tokens[:, None], places[:, None], states)
            hidden = self._layers_over(pool, lanes, shape.cache, shape.states)[:, 0]
            scores = self.vocabulary(hidden).add_(self._forbidden)
            best, chosen = scores.log_softmax(dim=-1, dtype=torch.float32).max(dim=-1)
            tensors.output[0].copy_(chosen)  # exact: float32 counts to 16,777,216
            tensors.output[1].copy_(best)

        return step

    def _layers_over(self, pool: KVSlotPool, lanes: _Lanes, cache: int, states: int) -> Tensor:
        """Hidden states of a padded batch, shape (lanes, tokens, n_text_state); fills the slots' keys and values.

        Slots are read where they are: ``near`` and ``far`` are views.
        """
        rows, width = lanes.tokens.shape
        heads = (rows, width, self.heads, self.head_width)
        last = lanes.first + rows
        slots, places = self.along[lanes.first : last, None], lanes.places
        seen = self._mask(places[:, None, :, None] >= self.along[:cache])
        inside = self._mask(lanes.states[:, None, None, None] > self.along[:states])
        x = F.embedding(lanes.tokens, self.embedding)
        x = x + F.embedding(places.clamp(max=self.context - 1), self.positions)
        for index, layer in enumerate(self.layers):
            qkv = layer.qkv(layer.attn_ln(x)).view(rows, width, 3, *heads[2:])
            query, (key, value) = qkv[:, :, 0], finite_(qkv[:, :, 1:]).unbind(2)
            pool.keys[index][slots, places] = key
            pool.values[index][slots, places] = value
            near = pool.keys[index, lanes.first : last, :cache], pool.values[index, lanes.first : last, :cache]
            x = x + layer.out(_attended_slots(query, *near, seen))
            query = layer.cross_query(layer.cross_ln(x)).view(heads)
            if index in self._aligned_place:
                pool.queries[self._aligned_place[index]][slots, places] = query
            far = (
                pool.cross_keys[index, lanes.first : last, :states],
                pool.cross_values[index, lanes.first : last, :states],
            )
            x = x + layer.cross_out(_attended_slots(query, *far, inside))
            x = x + layer.down(F.gelu(layer.up(layer.mlp_ln(x))))
        normed: Tensor = self.norm(x)
        return normed

    def _mask(self, allowed: Tensor) -> Tensor:
        return torch.zeros_like(allowed, dtype=self.dtype).masked_fill(~allowed, -torch.inf)


def _attended_slots(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Attention of padded ``queries``, shape (lanes, tokens, heads, width), each to its own slot's places."""
    found = attended(queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), mask)
    return found.transpose(1, 2).flatten(2)


def _slot(row: Row) -> int:
    return cast(SlotRow, row).slot


def lane_sizes(pool: KVSlotPool) -> tuple[int, ...]:
    """What numbers of ``pool``'s lanes are rounded up to: the largest is all of them."""
    return (*(size for size in ROW_BUCKETS if size < pool.slots), pool.slots)


def _in_slots(rows: Sequence[Row]) -> Sequence[SlotRow]:
    return cast(Sequence[SlotRow], rows)


def slot_shape(decoder: Decoder, states: int) -> SlotShape:
    """Of a slot for rows that attend to up to ``states`` encoder states."""
    layers, aligned = len(decoder.layers), len(decoder.alignment_heads)
    return SlotShape(layers, aligned, decoder.heads, decoder.head_width, decoder.context, states)
