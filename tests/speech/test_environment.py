"""How torch's threads wait is settled before torch is imported, unless somebody has settled it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
SHOW = f"import openmic.speech.types, os, sys; print(*map(os.environ.get, {NAMES}), 'torch' in sys.modules)"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, ["PASSIVE", "10000"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", "None"]),
        ({"GOMP_SPINCOUNT": "0"}, ["PASSIVE", "0"]),
    ],
)
def test_waiting_threads_soon_give_the_processor_away(given: dict[str, str], kept: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | given
    told = subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [*kept, "False"]
