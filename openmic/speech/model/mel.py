"""Whisper's log-mel spectrogram of any stretch of a recording that is still growing.

``whisper.log_mel_spectrogram`` takes a whole recording. Here the same mel frames are worked out for a stretch alone,
from the samples around it, so that an hour of audio never has to be in memory.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from whisper.audio import HOP_LENGTH, N_FFT, mel_filters

from openmic.speech.types import Recording

DYNAMIC_RANGE = 8.0  # log10 units kept below the loudest mel frame, as openai-whisper does
SURROUNDINGS_SAMPLES = N_FFT // 2  # on either side of a mel frame's middle


def log_mel_power(audio: Tensor, n_mels: int, *, has_surroundings: bool = False) -> Tensor:
    """Log10 mel power before Whisper's normalization.

    Args:
        audio: float32, shape (..., samples).
        n_mels: of the model.
        has_surroundings: ``audio`` brings SURROUNDINGS_SAMPLES more on either side; else it is mirrored there, as
            Whisper's STFT does.

    Returns:
        float32, shape (..., n_mels, mel frames).
    """
    stft = torch.stft(
        audio,
        N_FFT,
        HOP_LENGTH,
        window=torch.hann_window(N_FFT, device=audio.device),
        center=not has_surroundings,
        return_complex=True,
    )
    if not has_surroundings:
        stft = stft[..., :-1]  # openai-whisper drops the last
    power: Tensor = mel_filters(audio.device, n_mels) @ (stft.abs() ** 2)
    return power.clamp(min=1e-10).log10()


def log_mel_power_of(recording: Recording, first: int, mel_frames: int, n_mels: int, device: torch.device) -> Tensor:
    """``log_mel_power`` of a recording's mel frames ``first`` to ``first + mel_frames``.

    Samples beyond the recording's end count as zero; before its start they are mirrored.

    Returns:
        float32, shape (n_mels, mel_frames).
    """
    begin = first * HOP_LENGTH - SURROUNDINGS_SAMPLES
    end = (first + mel_frames - 1) * HOP_LENGTH + SURROUNDINGS_SAMPLES
    samples = recording.read(max(begin, 0), end)
    if begin < 0:
        mirrored = np.pad(recording.read(0, -begin + 1), (0, max(0, -begin + 1 - len(recording))))
        samples = np.concatenate([mirrored[-begin:0:-1], samples])
    samples = np.pad(samples, (0, end - begin - len(samples)))
    return log_mel_power(torch.from_numpy(samples).to(device), n_mels, has_surroundings=True)


def normalized(log_power: Tensor, loudest: float | Tensor) -> Tensor:
    """Whisper's input: clamped to DYNAMIC_RANGE below ``loudest`` (the maximum so far), scaled to about -1..1."""
    return (log_power.clamp(min=loudest - DYNAMIC_RANGE) + 4.0) / 4.0
