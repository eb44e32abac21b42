"""How long work tells a person where it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

ProgressCallback = Callable[[str, float | None], None]
"""Called with a short sentence ("Downloading base") and the done fraction in 0..1, or None where unknown.

The same sentence again means: the same work, further on. A fraction of 1.0 ends it.
"""


def silent(what: str, fraction: float | None) -> None:
    """Show nothing (the default where nobody watches)."""


class ShownProgress(Protocol):
    """A ``ProgressCallback`` that shows work in a terminal or a notebook until it is closed."""

    def __call__(self, what: str, fraction: float | None) -> None:
        """Show how far ``what`` is."""

    def close(self) -> None:
        """Leave the place where it was shown."""
