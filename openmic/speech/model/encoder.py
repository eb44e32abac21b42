"""A layer of Whisper's audio encoder, over a whole window or over what is new of a growing one."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from whisper.model import ResidualAttentionBlock

from openmic.speech.model.decoder import CrossAttentionKV
from openmic.speech.model.linear import Precision, linear, norm


@dataclass(slots=True)
class EncoderCache:
    """What is kept of one growing window between steps; empty for a new one.

    Attributes:
        states: how many states, from the window's start, are settled.
        loudest: log10 mel power, the maximum so far.
        keys, values: per encoder layer, of the settled states, shape (1, heads, states, head_width).
        cross: the decoder's keys and values for them.
        slot: on a GPU all that is kept is in here, but for ``states``; it is given back when it is forgotten.
    """

    states: int = 0
    loudest: float = -10.0
    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)
    cross: CrossAttentionKV | None = None
    slot: object | None = None

    def clear(self) -> None:
        """Forget everything: the window begins elsewhere now."""
        self.states, self.loudest, self.cross, self.slot = 0, -10.0, None, None
        self.keys, self.values = {}, {}


class EncoderLayer:
    """One block of the encoder with its matrices packed.

    Args:
        block: openai-whisper's.
        precision: of its matrices.
        whole: only for whole windows.
    """

    def __init__(self, block: ResidualAttentionBlock, precision: Precision, whole: bool = False) -> None:
        attn, mlp = block.attn, block.mlp
        self.qkv = linear(
            torch.cat([attn.query.weight, attn.key.weight, attn.value.weight]),
            torch.cat([attn.query.bias, torch.zeros_like(attn.query.bias), attn.value.bias]),
            precision,
            whole,
        )
        self.out = linear(attn.out.weight, attn.out.bias, precision, whole)
        self.up = linear(mlp[0].weight, mlp[0].bias, precision, whole)
        self.down = linear(mlp[2].weight, mlp[2].bias, precision, whole)
        self.attn_ln, self.mlp_ln = norm(block.attn_ln, precision), norm(block.mlp_ln, precision)
        self.heads = attn.n_head

    def __call__(self, x: Tensor, settled: EncoderCache, index: int, kept: int) -> Tensor:
        """Work out new states ``x`` behind the settled ones, and keep the first ``kept`` of them.

        Args:
            x: shape (states, n_audio_state), as the result.
            settled: of the window; its keys and values of layer ``index`` grow.
            index: this layer's place.
            kept: how many of the new states are settled from now on.
        """
        states, width = x.shape
        query, key, value = self.qkv(self.attn_ln(x)).view(states, 3, self.heads, -1).permute(1, 2, 0, 3)[:, None]
        if settled.states:
            key = torch.cat([settled.keys[index], key], dim=2)
            value = torch.cat([settled.values[index], value], dim=2)
        attended = F.scaled_dot_product_attention(query, key, value)[0].transpose(0, 1).reshape(states, width)
        if kept:
            settled.keys[index] = key[:, :, : settled.states + kept]
            settled.values[index] = value[:, :, : settled.states + kept]
        x = x + self.out(attended)
        return x + self.down(F.gelu(self.up(self.mlp_ln(x))))
