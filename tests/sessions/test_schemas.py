"""The parts of a transcript on the wire, beside openai-whisper's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.server.dialects.native.codec import to_message
from openmic.sessions.events import Finalised
from openmic.sessions.schemas import to_transcript
from openmic.sessions.snapshot import SessionSnapshot
from openmic.sessions.state import State
from openmic.speech.types import FinalText, Segment, Word

WORD = Word(" Hi.", 0.0, 0.5, 0.9)
FINAL = FinalText(" Hi.", "en", 1.0, (Segment(0, 0, 0.0, 1.0, " Hi.", (1,), 0.0, -0.2, 1.1, 0.01, (WORD,)),), "base")
SNAPSHOT = SessionSnapshot(
    id="0" * 32,
    state=State.ENDED,
    attached=False,
    created=0.0,
    received_bytes=1,
    audio_seconds=1.0,
    lag=0.0,
    committed_text="hi",
    live_text="",
    final=FINAL,
    revised=(),
    reason="stopped",
    error=None,
)


@pytest.fixture(scope="module")
def whispers(base_model: Any, sample_audio: Path, load_audio: Callable[[Path], Samples]) -> dict[str, Any]:
    """What openai-whisper's own ``transcribe`` gives."""
    samples = load_audio(sample_audio / "quickstart.wav")[: 5 * SAMPLE_RATE]
    result: dict[str, Any] = base_model.transcribe(samples, word_timestamps=True, fp16=False)
    return result


def shape(value: Any) -> Any:
    """The names and kinds of what is in a JSON value; of a list, those of its first item."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return float if isinstance(value, int | float) else type(value)


def test_a_final_has_all_that_openai_whispers_result_has(whispers: dict[str, Any]) -> None:
    theirs = shape(whispers)
    finals = {
        "message": to_message(Finalised(1, FINAL, "hi"), words=True).model_dump(),
        "download": to_transcript(SNAPSHOT, []).model_dump(),
    }
    for name, final in finals.items():
        ours = shape(final)
        assert set(theirs) - set(ours) == set(), name
        assert ours["segments"] == theirs["segments"], name
        assert (ours["text"], ours["language"]) == (theirs["text"], theirs["language"])
