"""Whisper weights from CTranslate2's file format to openai-whisper's.

A CTranslate2 ``model.bin`` (little endian) is: a format version, the name and revision of the model's specification,
then per tensor its name, shape, type and bytes, and at the end names that stand for another tensor. Attention keeps
its projections stacked, so they are cut apart here. Nothing is computed: the numbers stay as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.generic]]

FORMAT_VERSION = 6
SPECIFICATION = "WhisperSpec"
TYPES: tuple[type[np.generic], ...] = (np.float32, np.int8, np.int16, np.int32, np.float16)  # by the file's type number

# Parts of one block: CTranslate2's name, then openai-whisper's.
SELF_ATTENTION = ("self_attention", "attn")
CROSS_ATTENTION = ("attention", "cross_attn")


class FormatError(ValueError):
    """The bytes are not the CTranslate2 Whisper model that was expected."""


class _Reader:
    """Reads the format's few field types, and refuses to run past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def take(self, size: int) -> memoryview:
        end = self._offset + size
        if end > len(self._data):
            raise FormatError(f"the file ends at byte {len(self._data)}, inside a field that reaches to byte {end}")
        view = memoryview(self._data)[self._offset : end]
        self._offset = end
        return view

    def uint8(self) -> int:
        return self.take(1)[0]

    def uint32(self) -> int:
        return int(struct.unpack("<I", self.take(4))[0])

    def text(self) -> str:
        (size,) = struct.unpack("<H", self.take(2))  # counts the closing zero byte
        try:
            return bytes(self.take(size)).removesuffix(b"\0").decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"the name before byte {self._offset} is no text") from error

    def finished(self) -> bool:
        return self._offset == len(self._data)


def read(data: bytes) -> dict[str, NDArray[np.generic]]:
    """Take a ``model.bin`` apart.

    Args:
        data: the whole file. The arrays returned look into it.

    Returns:
        Each tensor by CTranslate2's name, aliases included.

    Raises:
        FormatError: another version or model, an unknown type, or bytes missing or left over.
    """
    reader = _Reader(data)
    version = reader.uint32()
    if version != FORMAT_VERSION:
        raise FormatError(f"format version {version} instead of {FORMAT_VERSION}")
    specification = reader.text()
    if specification != SPECIFICATION:
        raise FormatError(f"a {specification} instead of a {SPECIFICATION}")
    reader.uint32()  # the specification's revision; 3 in all files known

    tensors: dict[str, NDArray[np.generic]] = {}
    for _ in range(reader.uint32()):
        name = reader.text()
        shape = tuple(reader.uint32() for _ in range(reader.uint8()))
        kind = reader.uint8()
        if kind >= len(TYPES):
            raise FormatError(f"{name} has the unknown type {kind}")
        stored = reader.take(reader.uint32())
        if len(stored) % np.dtype(TYPES[kind]).itemsize:
            raise FormatError(f"{name} has half a number in its {len(stored)} bytes")
        values = np.frombuffer(stored, dtype=TYPES[kind])
        if values.size != int(np.prod(shape, dtype=np.int64)):
            raise FormatError(f"{name} has {values.size} values for the shape {shape}")
        tensors[name] = values.reshape(shape)
    for _ in range(reader.uint32()):
        alias = reader.text()
        name = reader.text()
        if name not in tensors:
            raise FormatError(f"{alias} stands for {name}, which is not in the file")
        tensors[alias] = tensors[name]
    if not reader.finished():
        raise FormatError("bytes are left over after the last field")
    return tensors


def checkpoint(tensors: Tensors) -> dict[str, object]:
    """Name the tensors as openai-whisper does.

    Args:
        tensors: as from `read`.

    Returns:
        ``{"dims": ..., "model_state_dict": ...}``, which ``torch.save`` writes and ``whisper.load_model`` reads. The
        weights keep their dtype (float16 in the files known; the model that is loaded from them is float32).

    Raises:
        FormatError: a tensor that a Whisper model needs is not there, or has a shape that none has.
    """
    try:
        return _checkpoint(tensors)
    except KeyError as missing:
        raise FormatError(f"the tensor {missing} is not in the file") from missing
    except (IndexError, TypeError, ValueError) as error:
        raise FormatError(f"a tensor has a shape that no Whisper model has ({error})") from error


def _checkpoint(tensors: Tensors) -> dict[str, object]:
    def take(name: str) -> torch.Tensor:
        return torch.from_numpy(tensors[name].copy())

    state: dict[str, torch.Tensor] = {
        "encoder.conv1.weight": take("encoder/conv1/weight"),
        "encoder.conv1.bias": take("encoder/conv1/bias"),
        "encoder.conv2.weight": take("encoder/conv2/weight"),
        "encoder.conv2.bias": take("encoder/conv2/bias"),
        "encoder.positional_embedding": take("encoder/position_encodings/encodings"),
        "decoder.positional_embedding": take("decoder/position_encodings/encodings"),
        "decoder.token_embedding.weight": take("decoder/embeddings/weight"),
    }

    def norm(source: str, target: str) -> None:
        state[f"{target}.weight"] = take(f"{source}/gamma")
        state[f"{target}.bias"] = take(f"{source}/beta")

    def linear(source: str, *targets: str) -> None:
        """Cut one stacked projection into its parts; a key has no bias in Whisper (it is stored as zeros)."""
        weights = take(f"{source}/weight").chunk(len(targets))
        biases = take(f"{source}/bias").chunk(len(targets))
        for target, weight, bias in zip(targets, weights, biases, strict=True):
            state[f"{target}.weight"] = weight.clone()  # a view would save the whole stack
            if not target.endswith(".key"):
                state[f"{target}.bias"] = bias.clone()

    def block(source: str, target: str, has_cross_attention: bool) -> None:
        theirs, ours = f"{source}/{SELF_ATTENTION[0]}", f"{target}.{SELF_ATTENTION[1]}"
        norm(f"{theirs}/layer_norm", f"{ours}_ln")
        linear(f"{theirs}/linear_0", f"{ours}.query", f"{ours}.key", f"{ours}.value")
        linear(f"{theirs}/linear_1", f"{ours}.out")
        if has_cross_attention:
            theirs, ours = f"{source}/{CROSS_ATTENTION[0]}", f"{target}.{CROSS_ATTENTION[1]}"
            norm(f"{theirs}/layer_norm", f"{ours}_ln")
            linear(f"{theirs}/linear_0", f"{ours}.query")
            linear(f"{theirs}/linear_1", f"{ours}.key", f"{ours}.value")
            linear(f"{theirs}/linear_2", f"{ours}.out")
        norm(f"{source}/ffn/layer_norm", f"{target}.mlp_ln")
        linear(f"{source}/ffn/linear_0", f"{target}.mlp.0")
        linear(f"{source}/ffn/linear_1", f"{target}.mlp.2")

    layers = {side: _count_layers(tensors, side) for side in ("encoder", "decoder")}
    for side, count in layers.items():
        for layer in range(count):
            block(f"{side}/layer_{layer}", f"{side}.blocks.{layer}", has_cross_attention=side == "decoder")
    norm("encoder/layer_norm", "encoder.ln_post")
    norm("decoder/layer_norm", "decoder.ln")

    n_vocab, n_text_state = state["decoder.token_embedding.weight"].shape
    n_audio_ctx, n_audio_state = state["encoder.positional_embedding"].shape
    dims = {
        "n_mels": state["encoder.conv1.weight"].shape[1],
        "n_audio_ctx": n_audio_ctx,
        "n_audio_state": n_audio_state,
        "n_audio_head": int(tensors["encoder/num_heads"]),
        "n_audio_layer": layers["encoder"],
        "n_vocab": n_vocab,
        "n_text_ctx": state["decoder.positional_embedding"].shape[0],
        "n_text_state": n_text_state,
        "n_text_head": int(tensors["decoder/num_heads"]),
        "n_text_layer": layers["decoder"],
    }
    return {"dims": dims, "model_state_dict": state}


def _count_layers(tensors: Tensors, side: str) -> int:
    count = 0
    while f"{side}/layer_{count}/self_attention/linear_0/weight" in tensors:
        count += 1
    return count
