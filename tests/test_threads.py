"""Threads that keep a promise go on, and say how they are."""

from __future__ import annotations

import logging
import threading

import pytest

from openmic.threads import LATE_SECONDS, SupervisedThread


def test_what_a_turn_raises_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "openmic")
    thread = SupervisedThread("openmic-keeper", lambda: None)
    for _ in range(3):
        with thread.turn("looking"):
            raise OSError(24, "Too many open files")
    assert thread.problems == ("openmic-keeper looking fails",)
    with thread.turn("keeping time"):
        pass
    assert thread.problems == ("openmic-keeper looking fails",)
    with thread.turn("looking"):
        pass
    assert thread.problems == ()
    assert [record.getMessage() for record in caplog.records] == [
        "service_fault part=openmic-keeper looking",
        "service_recovered part=openmic-keeper looking",
    ]


def test_an_interruption_is_no_fault_of_a_turn() -> None:
    thread = SupervisedThread("openmic-keeper", lambda: None)
    with pytest.raises(KeyboardInterrupt), thread.turn():
        raise KeyboardInterrupt


def wait(go_on: threading.Event) -> None:
    go_on.wait(20)


def test_one_that_makes_no_turn_is_late() -> None:
    now, go_on = [0.0], threading.Event()
    thread = SupervisedThread("openmic-sync", lambda: wait(go_on), clock=lambda: now[0])
    thread.start()
    assert thread.problems == ()
    now[0] = LATE_SECONDS + 1
    assert thread.problems == ("openmic-sync is late",)
    with thread.turn():
        pass
    assert thread.problems == ()
    go_on.set()
    thread.join(120)
    now[0] = 10 * LATE_SECONDS
    assert thread.problems == ()  # it has ended as it should


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_that_died_is_dead() -> None:
    thread = SupervisedThread("openmic-sync", lambda: exec("raise SystemError"))
    thread.start()
    thread.join(120)
    assert thread.problems == ("openmic-sync is dead",)
