"""A recording through a loaded engine's parts: its committed and its final text, without a thread or a server."""

from __future__ import annotations

from typing import Any

import torch

from openmic.audio import VoiceActivity
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.engine.live_step import run_step
from openmic.speech.engine.stream import EngineStream
from openmic.speech.types import CommittedText, FinalText, SpeechEvent, SpeechOptions
from tests.support.clip import Clip


def heard(
    parts: Any, samples: Samples, options: SpeechOptions, changes: dict[float, SpeechOptions] | None = None
) -> tuple[str, str]:
    """The committed and the final text of a recording, and what the options are from some second on."""
    events: list[SpeechEvent] = []
    clip, changes = Clip(samples, 0), changes or {}
    stream = EngineStream.of(parts.final, clip, options, events.append, 0.5, 12.0)
    voice = VoiceActivity(0.6)
    piece = SAMPLE_RATE // 2
    with torch.inference_mode():
        for begin in range(0, len(samples), piece):
            for second in [second for second in changes if second * SAMPLE_RATE <= begin]:
                stream.change(changes.pop(second))
            clip.length = min(begin + piece, len(samples))
            stream.add_boundaries(voice.push(samples[begin : clip.length]))
            if clip.length == len(samples):
                stream.add_boundaries(voice.flush())
                stream.finish()
            while (plan := stream.due_step()) is not None:
                run_step(parts.live, [(stream, plan)])
        stream.final.ended = True
        for _ in stream.walk:
            pass
    final: FinalText = stream.final.result()
    return "".join(event.text for event in events if isinstance(event, CommittedText)), final.text
