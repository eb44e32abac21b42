"""What the final changed of the promised words, by examples and by properties."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.sessions.text.revisions import MOST_CHARACTERS, Revision, revise
from openmic.speech.types import CommittedText, FinalText, Segment, Word


def said(text: str, start: float = 0.0) -> CommittedText:
    """A commit of which each word lasts a second."""
    words = timed(text, start)
    return CommittedText(text, start, start + len(words), words)


def timed(text: str, start: float) -> tuple[Word, ...]:
    parts = text.split(" ")
    spelled = [" " * bool(index) + part for index, part in enumerate(parts)]
    spelled = [spelled[0] + spelled[1], *spelled[2:]] if text.startswith(" ") and len(parts) > 1 else spelled
    return tuple(Word(word, start + n, start + n + 1, 1.0) for n, word in enumerate(spelled))


def final(text: str, language: str = "en", words: bool = True) -> FinalText:
    segment = Segment(0, 0, 0.0, 9.0, text, (), 0.0, 0.0, 1.0, 0.0, timed(text, 10.0) if words else ())
    return FinalText(text, language, 20.0, (segment,), "base")


def changes(old: str, new: str, language: str = "en") -> list[tuple[str, str, str]]:
    return [(one.kind, one.old, one.new) for one in revise([said(old)], final(new, language))]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (" the same", " the same", []),
        ("", "", []),
        (" left letters behind", " left ledgers behind", [("words", "letters", "ledgers")]),
        (" and wrote", " and they all wrote", [("words", "", " they all")]),
        (" and they all wrote", " and wrote", [("words", " they all", "")]),
        (" so well then", " well then", [("words", "so ", "")]),
        ("", " All of it.", [("words", "", "All of it.")]),
        (" all of it", "", [("words", "all of it", "")]),
        (" hello World", " Hello, world.", [("form", "hello World", "Hello, world.")]),
        (" one two", " One, too", [("form", "one ", "One, "), ("words", "two", "too")]),
        (" one two three", " One two tree", [("form", "one", "One"), ("words", "three", "tree")]),
        (" twenty-one", " twenty one", [("form", "-", " ")]),
        (" it costs $5", " it costs £5", [("words", "$", "£")]),
        (" don't go", " don’t go", [("form", "don't", "don’t")]),
        (" dont go", " don't go", [("form", "dont", "don't")]),
        (" a  b", " a b", [("form", "  ", " ")]),
        ("我爱北京", "我爱南京", [("words", "北", "南")]),
        (
            " caf\N{LATIN SMALL LETTER E WITH ACUTE}",
            " cafe\N{COMBINING ACUTE ACCENT}",
            [("form", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}")],
        ),
        (" नमस्ते दुनिया", " नमस्ते दुनियां", [("words", "दुनिया", "दुनियां")]),
    ],
)
def test_examples(old: str, new: str, expected: list[tuple[str, str, str]]) -> None:
    assert changes(old, new) == expected


def test_turkish_letters_keep_their_dots() -> None:
    assert {kind for kind, _, _ in changes(" ISI IŞIK İZMİR", " ısı ışık izmir", "tr")} == {"form"}
    assert {kind for kind, _, _ in changes(" ilik", " ılık", "tr")} == {"words"}
    assert {kind for kind, _, _ in changes(" INPUT", " input", "en")} == {"form"}


def test_offsets_and_times() -> None:
    commits = [said(" The keepers left", 0.0), said(" letters behind um and", 3.0)]
    first, second, third = revise(commits, final(" The keepers left ledgers behind and them"))
    assert first == Revision("words", "letters", 17, 24, "ledgers", 18, 25, 13.0, 14.0)
    assert (second.old, second.new, second.start, second.end) == (" um", "", 5.0, 6.0)
    assert (third.old, third.new, third.start, third.end) == ("", " them", 16.0, 17.0)


def test_without_word_times_the_segments_are_given_and_without_those_none() -> None:
    (revision,) = revise([said(" one")], final(" two", words=False))
    assert (revision.start, revision.end) == (0.0, 9.0)
    added = FinalText(" one two", "en", 2.0, (), "base")
    (revision,) = revise([said(" one")], added)
    assert (revision.start, revision.end) == (None, None)


TEXT = st.text(
    st.sampled_from(list("ab IıiİşŞ ,.'-")) | st.characters(codec="utf-8") | st.sampled_from("爱北京ไทยที่नमस्ते\u200ć😀"),
    max_size=40,
)
WORDS = st.lists(
    st.sampled_from(["one", "One", "two", "two,", "three", "şey", "I", "ı", "北京", "%"]), max_size=12
).map(lambda words: "".join(f" {word}" for word in words))


def apply(revised: Iterable[Revision], live_text: str) -> str:
    """The final text, stripped, from the live text and its revisions."""
    parts, at = [], 0
    for revision in revised:
        parts += [live_text[at : revision.old_start], revision.new]
        at = revision.old_end
    return "".join([*parts, live_text[at:]])


@given(TEXT | WORDS, TEXT | WORDS, st.sampled_from(["en", "tr", ""]))
def test_the_revisions_applied_to_the_live_text_give_the_final_one(old: str, new: str, language: str) -> None:
    revised = revise([said(old)], final(new, language))
    live = old.strip()
    assert apply(revised, live) == new.strip()
    assert (revised == ()) == (live == new.strip())
    for one in revised:
        assert one.old == live[one.old_start : one.old_end]
        assert one.new == new[one.new_start : one.new_end]
        assert one.old != one.new
    for one, following in pairwise(revised):
        assert one.old_end <= following.old_start
        assert one.new_end <= following.new_start
        touching = (one.old_end, one.new_end) == (following.old_start, following.new_start)
        assert not (touching and one.kind == following.kind)


@given(
    st.lists(st.sampled_from(["one", "twenty", "şey", "北京", "don't"]), max_size=8), st.randoms(use_true_random=False)
)
def test_the_same_words_in_another_form_are_never_other_words(words: list[str], random: Random) -> None:
    def written() -> str:
        forms = [random.choice([word, word.upper(), word.title()]) for word in words]
        return "".join(random.choice([" ", ", ", " — ", "-"]) + form for form in forms) + random.choice(["", ".", "?!"])

    assert {one.kind for one in revise([said(written())], final(written()))} <= {"form"}


@pytest.mark.timeout(60)
def test_an_hour_is_compared_without_a_table_of_all_pairs() -> None:
    """10,000 words, of which every twentieth changed: a quadratic comparison would take minutes."""
    old = "".join(f" word{n % 997}" for n in range(10_000))
    new = "".join(f" other{n}" if n % 20 == 0 else f" word{n % 997}" for n in range(10_000))
    revised = revise([said(old)], final(new))
    assert len(revised) == 500
    assert apply(revised, old.strip()) == new.strip()


def test_a_text_beyond_reason_is_one_change() -> None:
    old, new = "a " * MOST_CHARACTERS, "b " * MOST_CHARACTERS
    whole = revise([said_whole(old)], final(new, words=False))
    assert [(one.kind, len(one.old), len(one.new)) for one in whole] == [("words", len(old) - 1, len(new) - 1)]
    assert apply(whole, old.strip()) == new.strip()
    assert revise([said_whole(old)], final(old, words=False)) == ()


def said_whole(text: str) -> CommittedText:
    return CommittedText(text, 0.0, 1.0, ())
