"""Where long stretches are broken, by examples in several scripts and by what holds for all."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openmic.sessions.text.captions import (
    CHARACTERS_PER_SECOND,
    LINE_COLUMNS,
    SHORTEST_SECONDS,
    Cue,
    captions,
    columns,
)
from openmic.speech.types import Word


def spoken(text: str, pauses: dict[int, float] | None = None, word_seconds: float = 0.4) -> Cue:
    """A cue with word times; ``pauses``: seconds of silence before the word of that number."""
    at, words = 1.0, []
    for number, word in enumerate(text.split()):
        at += (pauses or {}).get(number, 0.0)
        words.append(Word(f" {word}", at, at + word_seconds, 1.0))
        at += word_seconds
    return Cue(1.0, at, f" {text}", tuple(words))


def texts(cue: Cue) -> list[str]:
    return [caption.text for caption in captions([cue])]


def test_what_fits_stays_on_one_line() -> None:
    assert captions([Cue(0, 3, " Good morning to all of you.")]) == [Cue(0, 3, "Good morning to all of you.")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Our reading room is open from Tuesday to Saturday and closes at half past six.",
            ["Our reading room is open from Tuesday\nto Saturday and closes at half past six."],
        ),
        (
            "To keep a book for another week, just say its title.",
            ["To keep a book for another week,\njust say its title."],
        ),
        (
            "We were there. Then the tide came in over the long grey sand and nobody said anything for a while.",
            ["We were there.", "Then the tide came in over the long grey\nsand and nobody said anything for a while."],
        ),
    ],
)
def test_lines_are_broken_at_punctuation_and_phrases(text: str, expected: list[str]) -> None:
    assert texts(spoken(text, word_seconds=0.2)) == expected


def test_turkish_keeps_its_letters_and_its_particles() -> None:
    text = "Arkadaşlarımla birlikte sahilde yürüdük İzmir'de de ışıklar çok güzeldi değil mi söylesenize"
    lines = [line for caption in texts(spoken(text)) for line in caption.split("\n")]
    assert " ".join(lines) == text
    assert not [line for line in lines if line.split()[0] in ("de", "mi")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "今天天气很好，所以我和朋友们一起去海边散步了很长时间。",
            ["今天天气很好，\n所以我和朋友们一起去海边散步了很长时间。"],
        ),
        (
            "今日はとても天気が良かったので、友達と一緒に海岸を散歩しました。",
            ["今日はとても天気が良かったので、\n友達と一緒に海岸を散歩しました。"],
        ),
        ("วันนี้อากาศดีมากฉันกับเพื่อนจึงไปเดินเล่นที่ชายหาดเป็นเวลานาน", None),
    ],
)
def test_scripts_without_spaces(text: str, expected: list[str] | None) -> None:
    found = texts(Cue(0, 6, text))
    assert "".join(found).replace("\n", "") == text
    assert expected is None or found == expected
    for line in "\n".join(found).split("\n"):
        assert columns(line) <= LINE_COLUMNS
        assert line[0] not in "，。、ーっー็่้๊๋ิีึืุู"
        assert line[-1] not in "เแโใไ「"


def test_nobody_reads_on_through_a_long_pause() -> None:
    found = captions([spoken("yes of course and then", {3: 2.5})])
    assert [caption.text for caption in found] == ["yes of course", "and then"]
    assert (found[0].start, found[1].start) == (1.0, pytest.approx(1.0 + 3 * 0.4 + 2.5))


def test_a_short_one_stays_long_enough_to_be_read_and_leaves_when_the_next_comes() -> None:
    first, second, last = captions([Cue(0, 0.2, "Yes."), Cue(5, 5.1, "No."), Cue(5.4, 5.5, "Oh.")], until=6.0)
    assert (first.end, second.end, last.end) == (SHORTEST_SECONDS, 5.4, 6.0)
    (fast,) = captions([Cue(0, 1, "thirty-four characters in a second")], until=60)
    assert fast.end == pytest.approx(34 / CHARACTERS_PER_SECOND)


def test_a_sentence_that_breaks_off_goes_on_in_the_next_segment() -> None:
    first, second = spoken("he might have been made still more respectable than"), Cue(4.3, 4.9, " he was.")
    assert [caption.text for caption in captions([first, second, Cue(5, 6, " So there.")])] == [
        "he might have been made still\nmore respectable than he was.",
        "So there.",
    ]
    late = Cue(9.0, 9.5, " he was.")
    assert [caption.text for caption in captions([first, late])][-1] == "he was."


@pytest.mark.parametrize("short", ["Mr.", "Dr.", "J.", "İ.", "I.", "PROF.", "DOÇ.", "Prof."])
def test_an_abbreviation_ends_no_sentence(short: str) -> None:
    text = f"And {short} John Dashwood had then leisure to consider how much there might be"
    first = texts(spoken(text, word_seconds=0.2))[0].split("\n")[0]
    assert short in first
    assert not first.endswith(short)


def test_a_word_wider_than_a_line_is_left_whole() -> None:
    word = "Muvaffakiyetsizleştiricileştiriveremeyebileceklerimizdenmişsinizcesine"
    assert texts(Cue(0, 9, f"diyor {word} diyor")) == ["diyor", word, "diyor"]


def test_empty_ones_give_none() -> None:
    assert captions([]) == []
    assert captions([Cue(0, 1, "  "), Cue(1, 2, "")]) == []
    assert texts(Cue(0, 2, " ♪♪ ")) == ["♪♪"]


WORD = st.sampled_from(
    ["a", "of", "house", "mountains,", "ends.", "—", "şöyle", "mi", "北京很好。", "(see", "ไป", "no?!"]
)


@example([("a", 0.0), *[("—", 0.0)] * 30], False)
@example([(word, 0.0) for word in ("a", "of", "house", "house", "mountains,", "北京很好。", "(see")], False)
@given(st.lists(st.tuples(WORD, st.sampled_from([0.0, 0.0, 0.0, 0.4, 1.5])), min_size=1, max_size=60), st.booleans())
def test_nothing_is_lost_and_every_line_fits(spoken_words: list[tuple[str, float]], timed: bool) -> None:
    at, words = 0.0, []
    for text, pause in spoken_words:
        words.append(Word(f" {text}", at + pause, at + pause + 0.3, 1.0))
        at += pause + 0.3
    cue = Cue(words[0].start, at, "".join(word.word for word in words), tuple(words) if timed else ())
    found = captions([cue, Cue(at + 9, at + 10, "The next.")])
    joined = " ".join(caption.text for caption in found).replace("\n", " ")
    assert "".join(joined.split()) == "".join(cue.text.split()) + "Thenext."
    for caption in found:
        lines = caption.text.split("\n")
        assert len(lines) <= 2
        assert all(columns(line) <= LINE_COLUMNS for line in lines)
        assert caption.start <= caption.end
    for caption, following in pairwise(found):
        assert caption.end <= following.start
    if timed:
        starts = {round(caption.start, 6) for caption in found}
        assert starts <= {round(word.start, 6) for word in words} | {round(at + 9, 6)}
