"""A final pass over a recording that grows, without a server and an engine's thread."""

from __future__ import annotations

import torch

from benchmarks.corpus.recordings import Clip
from benchmarks.simulated.virtual import GrowingRecording
from openmic.audio import VoiceActivity
from openmic.audio.types import SAMPLE_RATE
from openmic.settings import Settings
from openmic.speech.final.walk import FinalModel, FinalPass
from openmic.speech.types import FinalText, SpeechOptions


def progressive(parts: FinalModel, clip: Clip) -> FinalText:
    """Walk a recording while it grows by a second at a time."""
    heard = GrowingRecording(clip.samples)
    final = FinalPass(parts, heard, SpeechOptions())
    voice = VoiceActivity(Settings().endpoint_silence_seconds)
    walk = final.walk()
    with torch.inference_mode():
        while (begin := heard.length) < len(clip.samples):
            heard.length = min(begin + SAMPLE_RATE, len(clip.samples))
            final.timeline.add_boundaries(voice.push(clip.samples[begin : heard.length]), heard.length / SAMPLE_RATE)
            for pause in walk:
                if pause == "waiting":
                    break
        final.timeline.add_boundaries(voice.flush(), heard.length / SAMPLE_RATE)
        final.ended = True
        for _ in walk:
            pass
    return final.result()
