"""``openmic.launch``: one service in a process, stopped at the latest with the process."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  (see _at_exit)
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from openmic.notebook.output import in_notebook
from openmic.notebook.progress import NotebookProgress
from openmic.notebook.serving import let_cells_run_loops
from openmic.progress import ShownProgress
from openmic.service.arguments import make_settings
from openmic.service.service import OpenMic
from openmic.terminal import TerminalProgress

_lock = threading.RLock()
_current: OpenMic | None = None


def launch(model: str = "auto", language: str | None = None, tunnel: str = "auto", **settings: Any) -> OpenMic:
    """Load Whisper, start the server, open the tunnel; an earlier service of this process is stopped first.

    Args:
        model: ``tiny`` ... ``turbo``, a path to a ``.pt`` file, or ``auto``.
        language: of sessions that name none (ISO 639-1); None: detect it.
        tunnel: ``auto``, ``ngrok``, ``cloudflare`` or ``none``.
        settings: any other field of ``Settings``. What is left at its default is looked up in the environment.

    Returns:
        The running service. Where only the tunnel failed, that is told and the service has a local link.

    Raises:
        OpenmicError: a setting cannot be used, the weights cannot be had, or the port is in use; nothing is left
            running then.
    """
    global _current
    chosen = make_settings(model=model, language=language, tunnel=tunnel, **settings)
    with _lock:
        stop_current()
        progress = _progress()
        mic = _current = OpenMic(chosen)
        try:
            mic.start(progress)
        except BaseException:
            stop_current(quietly=True)
            raise
        finally:
            progress.close()
    let_cells_run_loops()
    return mic


def stop_current(*, quietly: bool = False) -> None:
    """Stop the service of this process, if one runs; ``quietly``: without a word in the notebook."""
    global _current
    with _lock:
        if _current is not None:
            _current.end() if quietly else _current.stop()
            _current = None


# Before concurrent.futures shuts its threads, which the server's last steps need: later than that (``atexit``) sessions
# cannot be finished. Callbacks run in reverse order, so that module must have registered its own first.
_at_exit: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
_at_exit(partial(stop_current, quietly=True))


def _progress() -> ShownProgress:
    return NotebookProgress() if in_notebook() else TerminalProgress()
