"""Counts what torch is asked to do: on a GPU each of these operations is at least one launch, each copy a wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# Only another look at the same memory, or memory that nothing is written to yet: no work for a GPU.
VIEWS = frozenset(
    {"view", "transpose", "permute", "unsqueeze", "squeeze", "expand", "slice", "select", "detach", "t", "unbind"}
    | {"split", "split_with_sizes", "alias", "_unsafe_view", "as_strided", "empty", "empty_strided", "empty_like"}
    | {"lift_fresh", "unfold", "_reshape_alias", "diagonal", "new_empty", "resize_", "set_", "new_empty_strided"}
)
WRITES_IN_PLACE = frozenset({"index_put_", "_index_put_impl_", "copy_", "fill_", "zero_"})  # a part of what they return
HOST_READS = frozenset({"_local_scalar_dense"})  # a number that Python asks for


class Operations(TorchDispatchMode):
    """While entered, counts operations by their name in ``done``.

    Attributes:
        largest: numbers in the largest tensor that an operation wrote.
    """

    def __init__(self) -> None:
        super().__init__()
        self.done: Counter[str] = Counter()
        self.largest = 0

    @property
    def total(self) -> int:
        """Operations that are work."""
        return sum(count for name, count in self.done.items() if name not in VIEWS | HOST_READS)

    @property
    def uploads(self) -> int:
        """Tensors that Python made of its own numbers: each is a copy to the device."""
        return self.done["lift_fresh"]

    @property
    def copies(self) -> int:
        """Numbers that Python asked for one by one."""
        return sum(self.done[name] for name in HOST_READS)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.split("::")[1]
        self.done[name] += 1
        found = func(*args, **(kwargs or {}))
        if name not in VIEWS | WRITES_IN_PLACE and isinstance(found, Tensor):
            self.largest = max(self.largest, found.numel())
        return found
