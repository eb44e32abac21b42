from __future__ import annotations

from itertools import pairwise

import pysubs2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openmic.sessions.text.captions import Cue
from openmic.sessions.text.subtitles import cues, to_subtitles, to_text
from openmic.speech.types import CommittedText, Word

CUES = [
    Cue(0.0, 1.2344, " Hello, world."),
    Cue(1.2344, 2.0, "   "),
    Cue(3661.5, 3662.25, " {braces} stay"),
]


def test_srt() -> None:
    assert to_subtitles(CUES, "srt").strip() == (
        "1\n00:00:00,000 --> 00:00:01,234\nHello, world.\n\n2\n01:01:01,500 --> 01:01:02,250\n{braces} stay"
    )


def test_vtt() -> None:
    assert to_subtitles(CUES, "vtt").strip() == (
        "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.234\nHello, world.\n\n2\n01:01:01.500 --> 01:01:02.250\n{braces} stay"
    )


def test_vtt_escapes_what_would_be_markup() -> None:
    assert "a &lt;b&gt; &amp; c" in to_subtitles([Cue(0, 1, "a <b> & c")], "vtt")
    assert "a <b> & c" in to_subtitles([Cue(0, 1, "a <b> & c")], "srt")


@pytest.mark.parametrize("ending", ["srt", "vtt"])
def test_others_read_them(ending: str) -> None:
    read = pysubs2.SSAFile.from_string(to_subtitles(CUES, ending), ending)  # type: ignore[arg-type]
    assert [(event.start, event.end) for event in read] == [(0, 1234), (3661500, 3662250)]


@pytest.mark.parametrize("ending", ["srt", "vtt"])
def test_long_ones_are_broken_into_lines(ending: str) -> None:
    words = tuple(Word(f" kelime{n},", n * 0.5, n * 0.5 + 0.4, 1.0) for n in range(20))
    commit = CommittedText("".join(word.word for word in words), 0.0, 9.9, words)
    read = pysubs2.SSAFile.from_string(to_subtitles(cues([commit]), ending), ending)  # type: ignore[arg-type]
    assert len(read) > 1
    assert all(max(map(len, event.plaintext.split("\n"))) <= 42 for event in read)
    assert any("\n" in event.plaintext for event in read)
    assert " ".join(event.plaintext for event in read).replace("\n", " ") == commit.text.strip()
    assert {event.start for event in read} <= {round(word.start * 1000) for word in words}


def test_text() -> None:
    assert to_text(CUES) == "Hello, world.\n{braces} stay\n"
    assert to_text([]) == ""


TIME = st.floats(0, 30).map(lambda seconds: round(seconds, 2))


@given(
    st.lists(st.tuples(TIME, st.sampled_from([0.0, 0.0, 0.0004, 0.3, 4.0]), st.booleans()), min_size=1, max_size=40),
    st.sampled_from([None, 0.0, 0.01, 6.0, 31.0]),
    st.booleans(),
    st.sampled_from(["srt", "vtt"]),
)
@example([(5.0, 0.0, False), (5.0, 1.0, False)], 6.0, True, "srt")
@example([(5.0, 1.0, False), (4.0, 0.5, False)], None, False, "srt")
@example([(6.0, 0.5, False)], 6.0, True, "vtt")
@example([(0.0, 0.0, False)], 0.0, True, "srt")
@example([(0.0, 0.0004, False)], None, False, "srt")
def test_every_caption_has_its_time_whatever_the_words_have(
    said: list[tuple[float, float, bool]], until: float | None, rising: bool, ending: str
) -> None:
    """No caption without length, none that overlaps, starts that fall, nothing beyond the end, no word lost."""
    said = sorted(said) if rising else said
    given_cues = []
    for number, (start, length, with_words) in enumerate(said):
        text = f" word{number}."
        words = (Word(text, start, start + length, 1.0),) if with_words else ()
        given_cues.append(Cue(start, start + length, text, words))
    read = pysubs2.SSAFile.from_string(to_subtitles(given_cues, ending, until), ending)  # type: ignore[arg-type]
    assert " ".join(event.plaintext for event in read).split() == [f"word{n}." for n in range(len(said))]
    assert all(event.end > event.start for event in read)
    assert all(left.end <= right.start for left, right in pairwise(read))
    if until is not None and until >= 0.1 * len(said):
        assert read[-1].end <= round(until * 1000)
