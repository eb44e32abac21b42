from __future__ import annotations

import numpy as np

from benchmarks.storage import measure, ways


def test_each_way_of_sending_is_measured() -> None:
    samples = (np.cumsum(np.random.default_rng(1).normal(0, 0.01, 48_000)) % 0.6 - 0.3).astype(np.float32)
    for sent in ways(samples):
        cost = measure(sent)
        assert cost.sent == len(sent.data)
        assert cost.sent < cost.journal < 1.1 * cost.sent + 4096
        assert abs(cost.growing - 2 * len(samples)) < 3200
        assert 0 < cost.kept < cost.growing
        assert cost.read_seconds > 0
