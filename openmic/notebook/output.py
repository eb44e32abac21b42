"""Where this code runs, and how to show something there that changes."""

from __future__ import annotations

import sys
import threading
from typing import Any


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this (Colab, JupyterLab, papermill), rather than a terminal or a script."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def in_colab() -> bool:
    """Whether this is a Google Colab runtime."""
    return "google.colab" in sys.modules


class Area:
    """A place in the running cell's output whose content is replaced.

    Updates are drawn from the main thread only (others would not render in Colab once the cell has ended); one from
    another thread is dropped.
    """

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, html: str, text: str) -> None:
        """Replace the content: ``html`` where the front end knows HTML, else ``text``."""
        if threading.current_thread() is not threading.main_thread():
            return
        import IPython.display

        bundle = {"text/html": html, "text/plain": text}
        if self._handle is None:
            display: Any = IPython.display.display
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)
