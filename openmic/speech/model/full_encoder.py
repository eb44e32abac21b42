"""Whisper's audio encoder over whole windows of 30 s, as the final pass needs it: exact, and a layer at a time."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch.nn.functional as F
from torch import Tensor
from whisper.model import Whisper

from openmic.speech.model.encoder import EncoderCache, EncoderLayer
from openmic.speech.model.linear import Precision


class FullEncoder:
    """openai-whisper's encoder weights, laid out for quick products.

    Equal to openai-whisper's ``AudioEncoder`` up to rounding; ``tests/speech/model/test_decoder.py`` holds the two
    together.

    Args:
        model: the loaded model; its convolutions, positions and norms are used as they are.
        precision: of the layers' matrices.
        layers: at that precision, where they are there already; None: they are laid out here, for whole windows.
    """

    def __init__(self, model: Whisper, precision: Precision, layers: Sequence[EncoderLayer] | None = None) -> None:
        self._encoder = model.encoder
        self._layers = layers or [EncoderLayer(block, precision, whole=True) for block in model.encoder.blocks]

    def encode(self, mel: Tensor) -> Generator[None, object, Tensor]:
        """Encode a window, a layer a step, so that live steps fit in between.

        Args:
            mel: shape (n_mels, 3000), in the dtype of activations.

        Returns:
            The states, shape (1500, n_audio_state), in the same dtype.
        """
        encoder = self._encoder
        x = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mel[None]))))[0].T
        x = (x + encoder.positional_embedding).to(x.dtype)
        if x.is_cuda:
            x = x.contiguous()  # else each norm lays it out anew
        for index, layer in enumerate(self._layers):
            yield
            x = layer(x, EncoderCache(), index, 0)
        states: Tensor = encoder.ln_post(x)
        return states
