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
    "weights": {"base_model", "final_model", "engine"},
    "browser": {"playwright", "chrome", "new_page"},
}
"""A test that asks for one of these fixtures, itself or through others, has the mark."""

LONGEST_FIRST = (
    "test_demo.py",
    "test_notebook.py",
    "test_faults_network.py",
    "test_page.py",
    "test_reliability.py",
    "test_bootstrap.py",
    "test_final.py",
    "test_cli.py",
    "test_faults_crowd.py",
    "test_page_connection.py",
    "test_page_changes.py",
    "test_requirements.py",
    "test_engine.py",
    "test_weights.py",
    "test_launch_stopping.py",
    "test_ahead.py",
    "test_benchmarks.py",
    "test_same_text.py",
    "test_session_recovery.py",
    "test_benchmarks_gpu.py",
    "test_docs.py",
    "test_decoder.py",
    "test_audio_decoder.py",
    "test_page_microphone.py",
    "test_server_native.py",
    "test_quiet.py",
    "test_tunnels_ngrok_errors.py",
    "test_hypothesis.py",
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
