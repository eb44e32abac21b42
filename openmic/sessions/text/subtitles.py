"""A transcript as subtitles (SRT, WebVTT) with lines that can be read, or as plain text, one line per segment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Literal

import pysubs2

from openmic.sessions.text.captions import Cue, captions
from openmic.speech.types import CommittedText, Segment

SubtitleFormat = Literal["srt", "vtt"]


def cues(stretches: Sequence[Segment] | Sequence[CommittedText]) -> list[Cue]:
    """The segments of a final text, or what was committed, as cues."""
    return [Cue(stretch.start, stretch.end, stretch.text, stretch.words) for stretch in stretches]


def to_subtitles(cues: Iterable[Cue], subtitle_format: SubtitleFormat, until: float | None = None) -> str:
    """The cues as one subtitle file; times are rounded to milliseconds, and end ``until`` seconds at the latest."""
    subtitles = pysubs2.SSAFile()
    for caption in captions(cues, until):
        event = pysubs2.SSAEvent(start=round(caption.start * 1000), end=round(caption.end * 1000))
        event.plaintext = escape(caption.text, quote=False) if subtitle_format == "vtt" else caption.text
        subtitles.append(event)
    return subtitles.to_string(subtitle_format, keep_ssa_tags=True)  # braces in the text are text, not tags


def to_text(cues: Iterable[Cue]) -> str:
    """The cues' texts, one a line, with a line end behind each."""
    return "".join(f"{cue.text.strip()}\n" for cue in cues if cue.text.strip())
