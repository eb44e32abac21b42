"""The marks of tests: what each allows, who gets one by itself, and the order of files among several workers."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

NOT_QUICK = ("weights", "browser", "gpu", "slow")  # what --quick leaves out
BY_FIXTURE = {
    "weights": {"base_model", "final_model", "engine", "engine_parts"},
    "browser": {"playwright", "chrome", "new_page"},
}
"""A test that asks for one of these fixtures, itself or through others, has the mark."""

LONGEST_FIRST = (
    "notebook/microphone/test_jupyterlab.py",
    "setup/test_demo.py",
    "notebook/test_run_all.py",
    "notebook/test_notebook.py",
    "faults/test_network.py",
    "server/page/test_page.py",
    "faults/test_deaths.py",
    "notebook/microphone/test_colab.py",
    "setup/test_bootstrap.py",
    "notebook/microphone/test_kernel.py",
    "speech/final/test_walk.py",
    "cli/test_main.py",
    "faults/test_crowd.py",
    "server/page/test_page_connection.py",
    "server/page/test_page_changes.py",
    "setup/test_requirements.py",
    "speech/engine/test_thread.py",
    "speech/weights/test_weights.py",
    "service/test_launch_stopping.py",
    "speech/final/test_speculation.py",
    "benchmarks/test_benchmarks.py",
    "speech/final/test_same_text.py",
    "sessions/test_recovery.py",
    "benchmarks/test_gpu.py",
    "docs/test_docs.py",
    "speech/model/test_decoder.py",
    "audio/test_decoder.py",
    "server/page/test_page_microphone.py",
    "server/dialects/test_native_connections.py",
    "benchmarks/test_quiet.py",
    "tunnels/test_ngrok_errors.py",
    "speech/live/test_decode.py",
)
"""Files of more than 15 s. A file is one worker's; what is long starts first, so that no worker is left with it."""

MARKS = "OPENMIC_TEST_MARKS"  # the marks of the running test, for its own helpers
CACHE = "OPENMIC_CACHE_DIR"


def of(item: pytest.Item) -> set[str]:
    """The names of a test's marks."""
    return {mark.name for mark in item.iter_markers()}


def add_by_fixture(items: Iterable[pytest.Item]) -> None:
    """Give those marks that come with a fixture."""
    for item in items:
        for mark, fixtures in BY_FIXTURE.items():
            if fixtures & {*getattr(item, "fixturenames", ())}:
                item.add_marker(mark)


def place_in_line(name: str) -> int:
    """When a file's turn is: long ones first, the others in their own order behind them."""
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)


@cache
def cache_without_weights() -> Path:
    """A cache in which no weights can be: the name of each file is taken by a folder. It goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="openmic-no-weights-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("base.pt", "base.en.pt", "tiny.pt", "tiny.en.pt"):
        (folder / name).mkdir()
    return folder


@contextmanager
def held_to(marked: set[str]) -> Iterator[None]:
    """Let a test have no weights and no browser that its marks do not name; its child processes neither."""
    before = {name: os.environ.get(name) for name in (CACHE, MARKS)}
    os.environ[MARKS] = " ".join(sorted(marked))
    if "weights" not in marked:
        os.environ[CACHE] = str(cache_without_weights())
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def allows(mark: str) -> bool:
    """Whether the running test has a mark; outside of a test everything is allowed."""
    return MARKS not in os.environ or mark in os.environ[MARKS].split()


def gpu_is_there() -> bool:
    import torch

    return torch.cuda.is_available()
