"""Giving memory back, in processes of their own: how much is resident depends on all that ran before."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

import openmic.memory as heap

HOLES = """
import ctypes, psutil
from openmic.memory import release_freed_memory
library = ctypes.CDLL("libc.so.6")
library.malloc.restype = ctypes.c_void_p
blocks = [library.malloc(ctypes.c_size_t(60_000)) for _ in range(5000)]
for block in blocks:
    ctypes.memset(block, 1, 60_000)
for place, block in enumerate(blocks):
    if place % 50:
        library.free(ctypes.c_void_p(block))
before = psutil.Process().memory_info().rss
print(release_freed_memory(), before - psutil.Process().memory_info().rss)
"""

LOADED = """
import psutil
from openmic.memory import release_freed_memory
from openmic.settings import Settings
from openmic.speech.load import load_engine
engine = load_engine(Settings(model="base"))
before = psutil.Process().memory_info().rss
release_freed_memory()
print(before - psutil.Process().memory_info().rss)
engine.close()
"""


def test_holes_between_what_is_in_use_go_back_to_the_machine() -> None:
    run = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, timeout=120, check=True)
    worked, freed = run.stdout.split()
    assert worked == "True"
    assert int(freed) > 250_000_000


@pytest.mark.weights
def test_a_loaded_engine_holds_nothing_that_it_does_not_use() -> None:
    run = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=300, check=True)
    assert int(run.stdout) < 80_000_000


def test_another_c_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ctypes.CDLL:
        raise OSError(name)

    heap._glibc.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert heap.release_freed_memory() is False
    heap._glibc.cache_clear()
