"""Shows how a long command is doing."""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable


class Progress:
    """One line that says what is going on and for how long: redrawn in a terminal or notebook, else line by line."""

    PLAIN_SECONDS = 15.0  # between two lines that say the same

    def __init__(self, title: str) -> None:
        self._title = title
        self._step = ""
        self._began = time.monotonic()
        self._printed = -self.PLAIN_SECONDS
        self._redraws = sys.stdout.isatty() or "ipykernel" in sys.modules

    def show(self, step: str) -> None:
        """Show what is being done at this moment."""
        now = time.monotonic()
        seconds = now - self._began
        if self._redraws:
            width = min(shutil.get_terminal_size((100, 24)).columns, 100) - 1
            print(f"\r{f'{self._title}: {step} ({seconds:.0f} s)'[:width]:<{width}}", end="", flush=True)
        elif now - self._printed >= (1.0 if step != self._step else self.PLAIN_SECONDS):
            print(f"{self._title}: {step} ({seconds:.0f} s)", flush=True)
            self._printed = now
        self._step = step

    def end(self, how: str) -> None:
        """Replace the line by how it ended and how long it took."""
        if self._redraws:
            print("\r" + " " * min(shutil.get_terminal_size((100, 24)).columns - 1, 99), end="\r")
        print(f"{self._title}: {how} ({time.monotonic() - self._began:.0f} s)", flush=True)


def follow(
    command: list[str],
    title: str,
    on_line: Callable[[str], object] = str,
    must_finish: Callable[[], bool] | None = None,
) -> list[str]:
    """Run a command while its steps are shown on one line.

    Args:
        command: the program and its arguments.
        title: what it does, for a person.
        on_line: called with each line of its output.
        must_finish: whether it is doing something now that must not be left half-done; then an interruption waits for
            its end. None: never.

    Returns:
        The command's output, line by line.

    Raises:
        CalledProcessError: it failed; ``output`` holds what it wrote.
    """
    progress = Progress(title)
    lines: list[str] = []
    arriving: queue.Queue[str | None] = queue.Queue()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=must_finish is not None,  # a notebook's interruption reaches all programs of its group
    )

    def read() -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                arriving.put(line.rstrip())
        arriving.put(None)

    threading.Thread(target=read, daemon=True).start()
    step = "starting"
    try:
        while True:
            try:
                line = arriving.get(timeout=0.5)
            except queue.Empty:
                progress.show(step)
                continue
            if line is None:
                break
            lines.append(line)
            on_line(line)
            step = _step(line) or step
            progress.show(step)
    except BaseException:
        if must_finish is not None and must_finish():
            progress.show("interrupted; finishing what has begun")
            process.wait()
        process.kill()
        raise
    finally:
        status = process.wait()
    progress.end("done" if status == 0 else "failed")
    if status != 0:
        raise subprocess.CalledProcessError(status, command, "\n".join(lines))
    return lines


def _step(line: str) -> str:
    """What one line of output means for the progress line; empty for a line that means nothing to a person."""
    line = line.strip()
    if line.startswith("Installing collected packages:"):
        return f"installing {line.count(',') + 1} packages"
    match = re.match(r"(Collecting|Downloading|Building wheel for|Get:|Unpacking|Setting up) ?(\S+)(.*)", line)
    if not match:
        return ""
    size = re.search(r"\([\d.]+ ?[kMG]?B\)", line)
    name = match[2].rsplit("/", 1)[-1]
    name = re.sub(r"(-py[23]|-cp3|\.tar\.gz|[<>=!~;]).*", "", name)
    return f"{match[1].rstrip(':').lower()} {name}{' ' + size[0] if size else ''}"
