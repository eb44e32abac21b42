"""openmic: one notebook turns a GPU into a public live-transcription service."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmic import client
    from openmic.client import stream_file
    from openmic.errors import OpenmicError
    from openmic.notebook.sample import stream_sample
    from openmic.service.launch import launch
    from openmic.settings import Settings

__version__ = "0.1.0"

__all__ = ["OpenmicError", "Settings", "__version__", "client", "launch", "stream_file", "stream_sample"]

_HOMES = {
    "OpenmicError": "openmic.errors",
    "Settings": "openmic.settings",
    "launch": "openmic.service.launch",
    "stream_file": "openmic.client",
    "stream_sample": "openmic.notebook.sample",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and nothing before (PEP 562): ``import openmic`` itself loads no torch."""
    if name == "client":
        return importlib.import_module("openmic.client")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'openmic' has no attribute {name!r}")
