from __future__ import annotations

import numpy as np

from benchmarks.storage import measure, ways


def test_each_way_of_sending_is_measured_and_packed() -> None:
    samples = (np.cumsum(np.random.default_rng(1).normal(0, 0.01, 48_000)) % 0.6 - 0.3).astype(np.float32)
    costs = {sent.name: measure(sent) for sent in ways(samples)}
    for name in ("raw 16-bit, 16 kHz, mono", "WAV, 48 kHz, stereo"):
        assert 0 < costs[name].journal < costs[name].sent
    for cost in costs.values():
        assert 0 < cost.recording < 2 * len(samples)
        assert cost.read_seconds > 0
