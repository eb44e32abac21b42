"""Whisper's log-mel spectrogram of any stretch of a recording that is still growing.

``whisper.log_mel_spectrogram`` takes a whole recording. Here the same frames are worked out for a stretch alone, from
the samples around it, so that an hour of audio never has to be in memory.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from whisper.audio import HOP_LENGTH, N_FFT, mel_filters

from openmic.speech.types import Recording

DYNAMIC_RANGE = 8.0  # log10 units kept below the loudest frame, as openai-whisper does


def log_mel_power(recording: Recording, first: int, frames: int, n_mels: int, device: torch.device) -> Tensor:
    """Log10 mel power of frames ``first`` to ``first + frames``, before Whisper's normalization.

    Samples beyond the recording's end count as zero; before its start they are mirrored, as Whisper's STFT does.

    Returns:
        float32, shape (n_mels, frames).
    """
    half = N_FFT // 2
    begin, end = first * HOP_LENGTH - half, (first + frames - 1) * HOP_LENGTH + half
    samples = recording.read(max(begin, 0), end)
    if begin < 0:
        mirrored = np.pad(recording.read(0, -begin + 1), (0, max(0, -begin + 1 - len(recording))))
        samples = np.concatenate([mirrored[-begin:0:-1], samples])
    samples = np.pad(samples, (0, end - begin - len(samples)))
    stft = torch.stft(
        torch.from_numpy(samples).to(device),
        N_FFT,
        HOP_LENGTH,
        window=torch.hann_window(N_FFT, device=device),
        center=False,
        return_complex=True,
    )
    power: Tensor = mel_filters(device, n_mels) @ (stft.abs() ** 2)
    return power.clamp(min=1e-10).log10()


def normalized(log_power: Tensor, loudest: float) -> Tensor:
    """Whisper's input: clamped to DYNAMIC_RANGE below ``loudest`` (the maximum so far), scaled to about -1..1."""
    return (log_power.clamp(min=loudest - DYNAMIC_RANGE) + 4.0) / 4.0
