"""Whisper's text decoder, forward only, for many rows at once.

The rows of a batch (one per stream) have different prefixes, lengths and windows. Their tokens are laid end to end
in one ragged tensor, so that every matrix is read once for all of them and nothing is padded; only attention is
worked out row by row, each against its own keys and values.

Equal to openai-whisper's ``TextDecoder`` up to rounding; ``tests/speech/model/test_decoder.py`` holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from whisper.model import ResidualAttentionBlock, Whisper

from openmic.speech.model.alignment import smoothed
from openmic.speech.model.attention import attended
from openmic.speech.model.linear import Precision, linear, norm, threads_for

MOST_SCORES = 1024  # states that are scored at a time: each takes some 10 bytes for each token of the vocabulary


@dataclass(slots=True)
class CrossAttentionKV:
    """One row's cross-attention keys and values: per layer two tensors of shape (heads, states, head_width)."""

    keys: list[Tensor]
    values: list[Tensor]

    @property
    def states(self) -> int:
        """How many encoder states are attended to."""
        return int(self.keys[0].shape[1])


@dataclass(slots=True)
class Row:
    """One row's decoder state, as its user sees it.

    Attributes:
        capacity: how many tokens it holds.
        length: tokens fed so far; set it back to forget the last ones.
    """

    capacity: int
    length: int = 0


@dataclass(slots=True)
class OwnRow(Row):
    """A row with tensors of its own: what it attends to, and the keys and values of the tokens fed so far.

    Attributes:
        cross: its cross-attention keys and values.
        keys, values: per layer, shape (heads, capacity, head_width).
        queries: the alignment layers' cross-attention queries of each token fed, shape (heads, capacity, head_width).
    """

    cross: CrossAttentionKV = field(kw_only=True)
    keys: list[Tensor] = field(kw_only=True)
    values: list[Tensor] = field(kw_only=True)
    queries: dict[int, Tensor] = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Tokens of a row whose attention is wanted.

    Attributes:
        row: that was fed with them.
        first: place of the first one; attention is normalized over all of them.
        count: how many.
        states: encoder states of the window's own audio, more than three.
    """

    row: Row
    first: int
    count: int
    states: int


class _Layer:
    """One block of the decoder with its matrices packed."""

    def __init__(self, block: ResidualAttentionBlock, precision: Precision) -> None:
        attn, cross, mlp = block.attn, block.cross_attn, block.mlp
        zero = torch.zeros_like(attn.query.bias)
        self.qkv = linear(
            torch.cat([attn.query.weight, attn.key.weight, attn.value.weight]),
            torch.cat([attn.query.bias, zero, attn.value.bias]),
            precision,
        )
        self.out = linear(attn.out.weight, attn.out.bias, precision)
        self.cross_query = linear(cross.query.weight, cross.query.bias, precision)
        self.cross_keys = linear(cross.key.weight, None, precision)
        self.cross_values = linear(cross.value.weight, cross.value.bias, precision)
        self.cross_out = linear(cross.out.weight, cross.out.bias, precision)
        self.up = linear(mlp[0].weight, mlp[0].bias, precision)
        self.down = linear(mlp[2].weight, mlp[2].bias, precision)
        self.attn_ln, self.cross_ln, self.mlp_ln = (
            norm(layer, precision) for layer in (block.attn_ln, block.cross_attn_ln, block.mlp_ln)
        )


class Decoder:
    """openai-whisper's decoder weights with a key/value cache per row.

    Args:
        model: the loaded model (its parameters are read once, here).
        precision: of the matrices; activations are float32, on a GPU float16.
    """

    def __init__(self, model: Whisper, precision: Precision) -> None:
        self.device = model.device
        self.dtype = torch.float16 if precision == "float16" else torch.float32
        self.context = int(model.dims.n_text_ctx)
        self.heads = int(model.dims.n_text_head)
        self.head_width = int(model.dims.n_text_state) // self.heads
        self.layers = [_Layer(block, precision) for block in model.decoder.blocks]
        self.embedding = model.decoder.token_embedding.weight.detach().to(self.dtype)
        self.positions = model.decoder.positional_embedding.detach().to(self.dtype)
        self.norm = norm(model.decoder.ln, precision)
        self.vocabulary = linear(self.embedding, None, precision)
        self.alignment_heads: dict[int, list[int]] = {}
        for layer, head in model.alignment_heads.indices().T.tolist():
            self.alignment_heads.setdefault(layer, []).append(head)

    @property
    def windows_together(self) -> int:
        """How many final windows are best decoded side by side; a processor does one after the other."""
        return 1

    @property
    def rows_together(self) -> int | None:
        """How many rows of live windows it has room for side by side; None: any number."""
        return None

    def cross_attention_kv(self, states: Tensor) -> CrossAttentionKV:
        """Keys and values for encoder ``states`` of shape (states, n_audio_state)."""
        keys, values = [], []
        for layer in self.layers:
            keys.append(self._split(layer.cross_keys(states)).contiguous())  # each head's side by side: read once
            values.append(self._split(layer.cross_values(states)).contiguous())  # for every token of a window
        return CrossAttentionKV(keys, values)

    def row(self, cross: CrossAttentionKV, capacity: int | None = None) -> Row:
        """An empty row that attends to ``cross`` and holds up to ``capacity`` tokens (default: the text context)."""
        places = capacity or self.context

        def empty() -> Tensor:
            return torch.empty((self.heads, places, self.head_width), device=self.device, dtype=self.dtype)

        return OwnRow(
            places,
            cross=cross,
            keys=[empty() for _ in self.layers],
            values=[empty() for _ in self.layers],
            queries={layer: empty() for layer in self.alignment_heads},
        )

    def rows(self, windows: Sequence[CrossAttentionKV], feeds: Sequence[int] = ()) -> list[Row]:
        """An empty row for each window; see ``row``.

        Args:
            windows: what the rows attend to.
            feeds: how many tokens each row will be fed first, about; a hint.
        """
        return [self.row(window) for window in windows]

    def forward(self, rows: Sequence[Row], tokens: Sequence[Sequence[int]]) -> list[Tensor]:
        """Feed each row its tokens; returns each row's hidden states, shape (tokens, n_text_state).

        Raises:
            ValueError: a row has no room for its tokens.
        """
        counts = [len(row_tokens) for row_tokens in tokens]
        spans = [(row, row.length, count) for row, count in zip(cast(Sequence[OwnRow], rows), counts, strict=True)]
        check_room(rows, counts)
        with threads_for(sum(counts)):
            x = self._layers_of(spans, tokens)
        for row, start, count in spans:
            row.length = start + count
        return list(torch.split(x, counts))

    def _layers_of(self, spans: Sequence[tuple[OwnRow, int, int]], tokens: Sequence[Sequence[int]]) -> Tensor:
        flat = torch.tensor([token for row_tokens in tokens for token in row_tokens], device=self.device)
        places = torch.cat([torch.arange(start, start + count) for _, start, count in spans]).to(self.device)
        x = F.embedding(flat, self.embedding) + self.positions[places]
        for index, layer in enumerate(self.layers):
            x = x + layer.out(self._self_attention(layer.qkv(layer.attn_ln(x)), index, spans))
            queries = layer.cross_query(layer.cross_ln(x))
            x = x + layer.cross_out(self._cross_attention(queries, index, spans))
            x = x + layer.down(F.gelu(layer.up(layer.mlp_ln(x))))
        normed: Tensor = self.norm(x)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary for hidden states of shape (n, n_text_state); float32, shape (n, n_vocab)."""
        return self.vocabulary(hidden).float()

    def choose(self, rows: Sequence[Row], tokens: Sequence[int], never: Tensor) -> tuple[list[int], list[float]]:
        """Feed each row one token and take the likeliest next one.

        Args:
            rows: of the batch.
            tokens: the one each row is fed.
            never: tokens that are not taken, shape (n,), int64.

        Returns:
            For each row the token, and its log-probability among those that may be taken.

        Raises:
            ValueError: a row has no room for its token.
        """
        scores = self.logits(torch.cat(self.forward(rows, [[token] for token in tokens])))
        scores[:, never] = -torch.inf
        best, chosen = scores.max(dim=-1)
        return chosen.tolist(), (best - scores.logsumexp(dim=-1)).tolist()

    def attention(self, row: Row, first: int, states: int) -> Tensor:
        """How tokens from ``first`` on attended to the first ``states`` states, by the alignment heads.

        Returns:
            Probabilities over those states, float32, shape (alignment heads, tokens, states).
        """
        weights = []
        for layer, heads in self.alignment_heads.items():
            queries, keys = self._aligned(row, layer)
            queries, keys = queries[heads, first : row.length], keys[heads, :states]
            weights.append(queries.float() @ keys.float().transpose(-1, -2) * self.head_width**-0.5)
        return torch.cat(weights).softmax(dim=-1)

    def token_attention(self, spans: Sequence[TokenSpan]) -> list[NDArray[np.float64]]:
        """Where the tokens of each span were heard: higher is likelier, shape (count, states)."""
        return [smoothed(self.attention(span.row, span.first, span.states)[:, : span.count]) for span in spans]

    def _aligned(self, row: Row, layer: int) -> tuple[Tensor, Tensor]:
        """An alignment layer's queries and cross-attention keys, shapes (heads, places, head_width)."""
        own = cast(OwnRow, row)
        return own.queries[layer], own.cross.keys[layer]

    def _self_attention(self, qkv: Tensor, index: int, spans: Sequence[tuple[OwnRow, int, int]]) -> Tensor:
        outputs, offset = [], 0
        for row, start, count in spans:
            part = qkv[offset : offset + count].view(count, 3, self.heads, self.head_width).permute(1, 2, 0, 3)
            row.keys[index][:, start : start + count] = part[1]
            row.values[index][:, start : start + count] = part[2]
            keys, values = row.keys[index][:, : start + count], row.values[index][:, : start + count]
            mask = None
            if count > 1:
                ones = torch.ones(count, start + count, dtype=torch.bool, device=self.device)
                mask = ones.tril(diagonal=start)
            found = attended(part[0][None], keys[None], values[None], mask)
            outputs.append(self._join(found[0]))  # torch's quick attention is for a batch
            offset += count
        return torch.cat(outputs)

    def _cross_attention(self, queries: Tensor, index: int, spans: Sequence[tuple[OwnRow, int, int]]) -> Tensor:
        outputs, offset = [], 0
        for row, start, count in spans:
            part = self._split(queries[offset : offset + count])
            if index in row.queries:
                row.queries[index][:, start : start + count] = part
            keys, values = row.cross.keys[index], row.cross.values[index]
            outputs.append(self._join(attended(part[None], keys[None], values[None])[0]))
            offset += count
        return torch.cat(outputs)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(len(x), self.heads, self.head_width).transpose(0, 1)

    def _join(self, x: Tensor) -> Tensor:
        return x.transpose(0, 1).reshape(x.shape[1], self.heads * self.head_width)


def check_room(rows: Sequence[Row], counts: Sequence[int]) -> None:
    """Raise ``ValueError`` if a row has no room for its tokens."""
    for row, count in zip(rows, counts, strict=True):
        if row.length + count > row.capacity:
            raise ValueError(f"{row.length} + {count} tokens do not fit into {row.capacity}")
