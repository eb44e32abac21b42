"""Work in a thread that ends with it: told about and failing in the caller's, and leaving no helpers behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

import openmic.speech.load as load
from openmic.progress import ProgressCallback, silent
from openmic.settings import Settings
from openmic.speech.threads import run_in_own_thread

HELPERS = """
import sys, time
import psutil, torch
from openmic.progress import silent
from openmic.speech.threads import run_in_own_thread

torch.set_num_threads(2)
process = psutil.Process()

def work(progress):
    torch.ones(4_000_000).exp()  # large enough to be shared out
    return process.num_threads()

before = process.num_threads()
during = work(silent) if sys.argv[1] == "here" else run_in_own_thread(work, silent)
deadline = time.monotonic() + 10
while process.num_threads() > before and time.monotonic() < deadline and sys.argv[1] == "apart":
    time.sleep(0.01)
print(during - before, process.num_threads() - before)
"""


def test_it_is_done_elsewhere_and_told_here() -> None:
    here = threading.current_thread()
    told: list[tuple[str, float | None, threading.Thread]] = []

    def work(progress: ProgressCallback) -> threading.Thread:
        progress("Loading", None)
        progress("Loading", 1.0)
        return threading.current_thread()

    there = run_in_own_thread(work, lambda what, done: told.append((what, done, threading.current_thread())))
    assert there is not here
    assert not there.is_alive()
    assert told == [("Loading", None, here), ("Loading", 1.0, here)]


def test_what_it_raises_is_raised_here_after_what_it_told() -> None:
    told: list[str] = []

    def work(progress: ProgressCallback) -> None:
        progress("Loading", None)
        raise MemoryError("too large")

    with pytest.raises(MemoryError, match="too large"):
        run_in_own_thread(work, lambda what, done: told.append(what))
    assert told == ["Loading"]


def test_a_callback_that_fails_ends_the_waiting() -> None:
    def interrupted(what: str, done: float | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_own_thread(lambda progress: progress("Loading", None), interrupted)


@pytest.mark.parametrize(("where", "during", "after"), [("here", 1, 1), ("apart", 2, 0)])
@pytest.mark.slow
def test_helpers_that_shared_the_work_end_with_its_thread(where: str, during: int, after: int) -> None:
    run = subprocess.run(
        [sys.executable, "-c", HELPERS, where], capture_output=True, text=True, timeout=120, check=True
    )
    assert run.stdout.split() == [str(during), str(after)]


def test_a_model_is_loaded_and_tried_out_so(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[threading.Thread] = []

    def fail(*_: object) -> None:
        seen.append(threading.current_thread())
        raise MemoryError("too large")

    chosen = SimpleNamespace(choice=SimpleNamespace(name="base", reason="base"), path=Path("base.pt"))
    monkeypatch.setattr(load, "choose_weights", lambda *_: chosen)
    monkeypatch.setattr(load, "_load", fail)
    with pytest.raises(MemoryError):
        load.load_engine(Settings(model="base", device="cpu"), silent)
    assert seen[0] is not threading.current_thread()
    assert not seen[0].is_alive()


def test_the_loading_thread_makes_its_gpu_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[str, str]] = []
    chosen = SimpleNamespace(choice=SimpleNamespace(name="base", reason="base"), path=Path("base.pt"))

    def fail(*_: object) -> None:
        raise MemoryError("too large")

    monkeypatch.setattr(load, "choose_device", lambda setting, progress: "cuda:1")
    monkeypatch.setattr(load, "choose_weights", lambda *_: chosen)
    monkeypatch.setattr(load, "use", lambda device: used.append((threading.current_thread().name, str(device))))
    monkeypatch.setattr(load, "load_whisper", fail)
    with pytest.raises(MemoryError):
        load.load_parts(Settings(model="base", device="cuda:1"), silent)
    assert used == [("openmic-loading", "cuda:1")]
