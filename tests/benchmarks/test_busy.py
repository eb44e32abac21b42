"""The benchmark beside another program: that program, and what counts as good."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks.busy import MOST_P90_SECONDS, MOST_SECONDS, check_out, good
from benchmarks.metrics.display import Delay
from benchmarks.metrics.report import Row, Spread
from benchmarks.realtime.other_load import other_load
from tests.support.waiting import wait_until

GOOD = Row("openmic", 4, stable=Delay(0.9, MOST_P90_SECONDS, MOST_SECONDS), spread=Spread(4))


@pytest.mark.slow
def test_the_other_program_works_and_ends() -> None:
    before = set(psutil.Process().children())
    with other_load(0.5):
        (program,) = set(psutil.Process().children()) - before
        start = program.cpu_times().user
        wait_until(lambda: program.cpu_times().user > start + 0.1)
    assert not psutil.pid_exists(program.pid) or program.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (GOOD, True),
        (replace(GOOD, stable=Delay(0.9, MOST_P90_SECONDS + 0.1, MOST_SECONDS)), False),
        (replace(GOOD, stable=Delay(0.9, MOST_P90_SECONDS, MOST_SECONDS + 0.1)), False),
        (replace(GOOD, spread=Spread(4, dropped=4)), False),
        (replace(GOOD, spread=Spread(3, refused=1)), False),
        (replace(GOOD, note="1 without a final"), False),
        (replace(GOOD, stable=None), False),
    ],
)
def test_late_words_dropped_words_and_missing_finals_are_not_good(row: Row, expected: bool) -> None:
    assert good(row) is expected


def test_another_commits_code_is_put_into_a_folder(tmp_path: Path) -> None:
    check_out("HEAD", tmp_path)
    assert (tmp_path / "openmic" / "__main__.py").is_file()
    assert ".git" not in os.listdir(tmp_path)
