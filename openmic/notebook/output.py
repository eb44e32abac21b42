"""Where this code runs, and how to show something there that changes."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any


def kernel() -> Any:
    """The Jupyter kernel that runs this (Colab, JupyterLab, papermill); None in a terminal or a script."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this, rather than a terminal or a script."""
    return kernel() is not None


def in_colab() -> bool:
    """Whether this is a Google Colab runtime; Kaggle's image is made from Colab's, and has its package too."""
    return "google.colab" in sys.modules and "KAGGLE_KERNEL_RUN_TYPE" not in os.environ


def may_draw() -> bool:
    """Whether what this thread draws is shown: in Colab only what the main thread draws, elsewhere everything."""
    return not in_colab() or threading.current_thread() is threading.main_thread()


class Area:
    """A place in a cell's output whose content is replaced, also from later cells.

    Colab does not draw what another thread than the main one sends once the cell has ended, so that is dropped there.
    """

    def __init__(self) -> None:
        self._handle: Any = None

    @property
    def shown(self) -> bool:
        """Whether it stands anywhere."""
        return self._handle is not None

    def show(self, html: str, text: str) -> None:
        """Replace the content: ``html`` where the front end knows HTML, else ``text``; at first in the running cell."""
        if self.shown:
            self.update(html, text)
        else:
            self.place(html, text)

    def place(self, html: str, text: str) -> None:
        """Show it in the running cell, also where it stands elsewhere already; both are replaced from then on."""
        import IPython.display

        display: Any = IPython.display.display
        bundle = {"text/html": html, "text/plain": text}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.display(bundle, raw=True)
            self._handle.update(bundle, raw=True)

    def update(self, html: str, text: str) -> None:
        """Replace the content, if it stands anywhere."""
        if self._handle is not None and may_draw():
            self._handle.update({"text/html": html, "text/plain": text}, raw=True)
