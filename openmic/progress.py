"""How long work tells a person where it stands."""

from __future__ import annotations

from collections.abc import Callable

ProgressCallback = Callable[[str, float | None], None]
"""Called with a short sentence ("Downloading base") and the done fraction in 0..1, or None where unknown.

The same sentence again means: the same work, further on. A fraction of 1.0 ends it.
"""


def silent(what: str, fraction: float | None) -> None:
    """Show nothing (the default where nobody watches)."""
