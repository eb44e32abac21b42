"""Speech of which nobody understands a word, for longer than a window lasts."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.corpus.sounds import murmur
from openmic.speech.types import SpeechOptions
from tests.support.heard import heard


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_live_text_and_the_final_come_to_their_ends(engine_parts: Any) -> None:
    """A window in which nothing was heard, though voice activity did, was decoded again and again without an end."""
    heard(engine_parts[0], murmur(20.0), SpeechOptions("en"))
