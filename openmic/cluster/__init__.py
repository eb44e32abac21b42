"""openmic as a Ray Serve application: replicas of the whole service behind one address.

``serve run openmic.cluster:app`` and ``openmic cluster --replicas 2`` start it; it needs ``pip install
'openmic[cluster]'``. Nothing else in openmic imports Ray.
"""

from __future__ import annotations

from typing import Any

__all__ = ["app"]


def __getattr__(name: str) -> Any:
    """``app``, imported when it is asked for: the rest of this room can be used where Ray is not installed."""
    if name == "app":
        from openmic.cluster.application import app

        return app
    raise AttributeError(f"module 'openmic.cluster' has no attribute {name!r}")
