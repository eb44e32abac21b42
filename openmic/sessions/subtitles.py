"""A transcript as subtitles (SRT, WebVTT) or as plain text, one line per segment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Literal

import pysubs2

SubtitleFormat = Literal["srt", "vtt"]


@dataclass(frozen=True, slots=True)
class Cue:
    """One stretch of text with its times in seconds."""

    start: float
    end: float
    text: str


def to_subtitles(cues: Iterable[Cue], subtitle_format: SubtitleFormat) -> str:
    """The cues as one subtitle file; empty cues are left out, times are rounded to milliseconds."""
    subtitles = pysubs2.SSAFile()
    for cue in cues:
        text = cue.text.strip()
        if text:
            event = pysubs2.SSAEvent(start=round(cue.start * 1000), end=round(cue.end * 1000))
            event.plaintext = escape(text, quote=False) if subtitle_format == "vtt" else text
            subtitles.append(event)
    return subtitles.to_string(subtitle_format, keep_ssa_tags=True)  # braces in the text are text, not tags


def to_text(cues: Iterable[Cue]) -> str:
    """The cues' texts, one a line, with a line end behind each."""
    return "".join(f"{cue.text.strip()}\n" for cue in cues if cue.text.strip())
