"""A draft follows what is said, and finds its place again after a difference."""

from __future__ import annotations

import pytest
from whisper.tokenizer import Tokenizer, get_tokenizer

from openmic.speech.draft import Draft


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return get_tokenizer(True, num_languages=99, language="en", task="transcribe")


def said(draft: Draft, tokenizer: Tokenizer, text: str) -> Draft:
    for token in tokenizer.encode(text):
        draft.follow(token)
    return draft


def guessed(draft: Draft, tokenizer: Tokenizer, count: int = 50) -> str:
    return tokenizer.decode_with_timestamps(draft.next(count))


def test_it_offers_what_comes_next_behind_the_first_timestamp(tokenizer: Tokenizer) -> None:
    draft = Draft(tokenizer, tokenizer.encode(" one two three four"))
    assert guessed(draft, tokenizer, 3) == "<|0.00|> one two"
    draft.follow(tokenizer.timestamp_begin)
    assert guessed(said(draft, tokenizer, " one two"), tokenizer) == " three four"


@pytest.mark.parametrize(
    ("heard", "text", "rest"),
    [
        (" the garden library was", " The", " garden library was"),  # another capital
        (" the garden library was", " the garden,", " library was"),  # a comma that was not heard
        (" the garden, library was", " the garden", ", library was"),  # one that was
        (" it maybe considered as art", " it may", "be considered as art"),  # another cut into tokens
        (" it maybe considered as art", " it may be", " considered as art"),
        (" wood blocks and graved in relief", " wood blocks engraved", " in relief"),  # another word
        (" he said that we should go home", " he should go", " home"),  # words that are left out
        (" we go home", " we slowly", " go home"),  # one that is added
    ],
)
def test_what_was_said_otherwise_does_not_lose_the_place(
    heard: str, text: str, rest: str, tokenizer: Tokenizer
) -> None:
    assert guessed(said(Draft(tokenizer, tokenizer.encode(heard)), tokenizer, text), tokenizer) == rest


def test_a_segment_is_expected_to_begin_where_the_last_one_ended(tokenizer: Tokenizer) -> None:
    draft = Draft(tokenizer, tokenizer.encode(" one two three"))
    draft.follow(tokenizer.timestamp_begin)
    stamp = tokenizer.timestamp_begin + 100
    said(draft, tokenizer, " one two").follow(stamp)
    assert guessed(draft, tokenizer) == "<|2.00|> three"
    draft.follow(stamp)
    assert guessed(draft, tokenizer) == " three"


def test_timestamps_that_are_known_are_offered_in_their_places(tokenizer: Tokenizer) -> None:
    begin = tokenizer.timestamp_begin
    known = [begin, *tokenizer.encode(" one two"), begin + 50, begin + 60, *tokenizer.encode(" three"), begin + 90]
    draft = Draft(tokenizer, known)
    assert draft.next(50) == known
    draft.follow(begin)
    assert said(draft, tokenizer, " one two").next(50) == known[3:]
    draft.follow(begin + 52)
    assert draft.next(50) == known[4:]


def test_nothing_expected_offers_nothing(tokenizer: Tokenizer) -> None:
    assert said(Draft(tokenizer), tokenizer, " one two").next(5) == []


def test_parts_of_letters_do_not_break_it(tokenizer: Tokenizer) -> None:
    text = " 図書館は庭にあります"
    draft = Draft(tokenizer, tokenizer.encode(text))
    draft.follow(tokenizer.timestamp_begin)
    for token in tokenizer.encode(text):
        draft.follow(token)
    assert "図書館" not in guessed(draft, tokenizer)
