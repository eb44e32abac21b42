"""A real headless Chromium for tests, with a microphone that plays a file (or beeps, or is not there at all)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Playwright

from tests import marks

# Runs as root in a container, draws without a GPU, and looks for nothing outside this machine.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Path of the Chromium on this machine; `python colab_bootstrap.py test` installs one."""
    assert marks.allows("browser"), "a test with a browser is marked so: @pytest.mark.browser"
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    raise FileNotFoundError("no Chromium on PATH: `python colab_bootstrap.py test` installs one")


@contextmanager
def browser(
    playwright: Playwright, microphone: Path | Literal["beep"] | None = "beep", extra_flags: tuple[str, ...] = ()
) -> Iterator[Browser]:
    """Launch Chromium; it is gone, with all its pages, at the end.

    Parameters:
        playwright: the running driver; a thread can have only one.
        microphone: a WAV file that plays once from the moment a page opens the microphone; "beep", Chromium's own test
            tone; None, a machine without one. A page must still be granted the permission.
        extra_flags: more flags.
    """
    flags = [*FLAGS, *extra_flags]
    if microphone is not None:
        flags.append("--use-fake-device-for-media-stream")
    if isinstance(microphone, Path):
        flags.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    launched = playwright.chromium.launch(executable_path=chromium(), args=flags, headless=True)
    try:
        yield launched
    finally:
        launched.close()
