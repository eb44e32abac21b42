"""Damaged recordings through the decoder, some of those that ``python -m benchmarks.fuzz_audio`` tries."""

from __future__ import annotations

import pytest

from benchmarks import fuzz_audio
from benchmarks.fuzz_audio import Outcome, corpus, mutant, run
from benchmarks.soak import Sample, quarters

MUTANTS = 200


@pytest.mark.slow
def test_no_mutant_crashes_hangs_or_raises_what_is_no_problem_of_ours() -> None:
    outcome = run(MUTANTS, seed=42)
    assert outcome.failures == {}
    assert sum(outcome.ends.values()) == MUTANTS
    assert outcome.ends["decoded"] > 0
    assert outcome.ends["audio_not_decodable"] > 0
    assert outcome.peak_bytes < fuzz_audio.MEMORY_BYTES


def test_mutants_are_damaged_and_the_same_for_the_same_seed() -> None:
    recordings = corpus()
    made = [mutant(recordings, seed) for seed in range(50)]
    assert made == [mutant(recordings, seed) for seed in range(50)]
    assert sum(data in recordings for data in made) < 10
    assert all(made)


def test_a_worker_that_fails_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = Outcome()
    monkeypatch.setattr(fuzz_audio, "HANG_SECONDS", 0.01)  # before the worker has even begun
    assert fuzz_audio._one_worker(outcome, 7, 10, 0) == 8
    assert "no end" in outcome.failures[7]


def test_quarters_of_a_soak() -> None:
    samples = [Sample(float(second), second, 10, 5) for second in range(100)]
    assert quarters(samples, "memory_bytes") == [12.0, 37.0, 62.0, 87.0]
    assert quarters(samples, "files") == [10.0] * 4
