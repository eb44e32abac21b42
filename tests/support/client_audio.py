"""Audio that the client's tests send."""

from __future__ import annotations

PCM = {"encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1}
SECOND = bytes(range(1, 251)) * 128  # 32,000 bytes: one second of 16 kHz s16le that is not silence
