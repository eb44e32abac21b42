"""A device's memory in a test: counts the bytes of all tensors that live, and refuses what does not fit."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocator(TorchDispatchMode):
    """While entered, every tensor that an operation makes takes memory, until it is forgotten.

    It has what ``openmic.speech.device.DeviceMemory`` has, for a test's processor.

    Args:
        room_bytes: of the device.
    """

    def __init__(self, room_bytes: int) -> None:
        super().__init__()
        self.room_bytes = room_bytes
        self.taken_bytes = self.most_bytes = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def left_bytes(self) -> int:
        """Memory that nothing has taken."""
        gc.collect()
        return self.room_bytes - self.taken_bytes

    def needed_bytes(self, work: Callable[[], object]) -> int:
        """Do ``work``; returns the most memory that it took meanwhile."""
        gc.collect()
        self.most_bytes = before = self.taken_bytes
        work()
        return self.most_bytes - before

    def _take(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        if self.taken_bytes + size > self.room_bytes:
            raise torch.OutOfMemoryError(f"{size} bytes, and {self.room_bytes - self.taken_bytes} are left")

        def forgotten(_: Any) -> None:
            del self._known[key]
            self.taken_bytes -= size

        self._known[key] = weakref.ref(storage, forgotten)
        self.taken_bytes += size
        self.most_bytes = max(self.most_bytes, self.taken_bytes)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if _is_dense(leaf)}
        for leaf in tree_leaves(found):
            if _is_dense(leaf) and leaf.untyped_storage()._cdata not in given:
                self._take(leaf)
        return found


def _is_dense(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.layout is torch.strided
