"""A draft follows what is said, and finds its place again after a difference."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whisper.tokenizer import Tokenizer, get_tokenizer

from openmic.speech.final.draft import Draft


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return get_tokenizer(True, num_languages=99, language="en", task="transcribe")


def said(draft: Draft, tokenizer: Tokenizer, text: str) -> Draft:
    for token in tokenizer.encode(text):
        draft.follow(token)
    return draft


def guessed(draft: Draft, tokenizer: Tokenizer, count: int = 50) -> str:
    return str(tokenizer.decode_with_timestamps(draft.next(count)))


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
        (" İstanbul'dan İzmir'e", " istanbul'dan", " İzmir'e"),  # a capital that lower() makes two of
        (" ışık açık değil", " Işık", " açık değil"),
        (" the red house. No, the red house by the sea", " the red house by", " the sea"),
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


def test_a_place_that_only_looked_right_is_left_again(tokenizer: Tokenizer) -> None:
    """A word that was misheard is there once more further on."""
    draft = Draft(tokenizer, tokenizer.encode(" an ill-sposed young man to be rather cold is to be ill-disposed. Had"))
    said(draft, tokenizer, " an ill-disposed")
    assert guessed(draft, tokenizer) == ". Had"
    assert guessed(said(draft, tokenizer, " young man"), tokenizer).startswith(" to be rather cold")


def passed(draft: Draft, tokenizer: Tokenizer, text: str, said: str, then: str) -> str:
    """What is guessed after a pass in which ``text`` was guessed, ``said`` came out, and ``then`` behind the rest."""
    guesses = draft.next(50)
    assert tokenizer.decode_with_timestamps(guesses) == text
    tokens = tokenizer.encode(said, allowed_special="all")
    right = len(tokens) - 1
    assert guesses[:right] == tokens[:right]
    assert guesses[right] != tokens[right]
    for token in tokens:
        draft.follow(token)
    likeliest = [*guesses[right + 1 :], tokenizer.eot]
    for place, token in enumerate(tokenizer.encode(then, allowed_special="all")):
        likeliest[place] = token
    draft.learn(right, likeliest)
    return guessed(draft, tokenizer)


def test_timestamps_that_the_decoder_wants_behind_a_difference_are_guessed_next(tokenizer: Tokenizer) -> None:
    draft = Draft(tokenizer, tokenizer.encode(" one, two. Three. Four"))
    text = "<|0.00|> one, two. Three. Four"
    # behind " two" it said what was guessed, behind the two full stops it wanted a timestamp
    after = passed(draft, tokenizer, text, "<|0.00|> One", ", two.<|1.00|>.<|2.00|>")
    assert after == ", two.<|1.00|><|1.00|> Three.<|2.00|><|2.00|> Four"
    draft.follow(tokenizer.encode(",")[0])
    draft.follow(tokenizer.encode(" two")[0])
    draft.follow(tokenizer.encode(".")[0])
    draft.follow(tokenizer.timestamp_begin + 60)  # it is a little later, as the next segment's begin will be
    assert guessed(draft, tokenizer) == "<|1.20|> Three.<|2.00|><|2.00|> Four"


def test_where_a_timestamp_is_missing_those_behind_every_word_are_not_believed(tokenizer: Tokenizer) -> None:
    draft = Draft(tokenizer, tokenizer.encode(" one. two three four. five"))
    text = "<|0.00|> one. two three four. five"
    after = passed(draft, tokenizer, text, "<|0.00|> one.<|1.00|>", "<|1.20|><|1.40|>.<|1.60|>")
    assert after == "<|1.00|> two three four.<|1.60|><|1.60|> five"


def test_capitals_and_punctuation_behind_a_difference_are_learned(tokenizer: Tokenizer) -> None:
    draft = Draft(tokenizer, tokenizer.encode(" well one two, three four"))
    after = passed(draft, tokenizer, "<|0.00|> well one two, three four", "<|0.00|> Well", " One two. Three")
    assert after == " One two. Three four"


def test_a_timestamp_that_is_not_wanted_any_more_is_not_guessed_again(tokenizer: Tokenizer) -> None:
    draft = Draft(tokenizer, tokenizer.encode(" one two. three, four"))
    passed(draft, tokenizer, "<|0.00|> one two. three, four", "<|0.00|> One", " two.<|1.00|>")
    after = passed(draft, tokenizer, " two.<|1.00|><|1.00|> three, four", " Two", ". three")
    assert after == ". three, four"


TURKISH = "aıiİIğĞşŞçÇöÖüÜ'.,!? "


@pytest.mark.slow
@settings(max_examples=200)
@given(st.text(st.sampled_from(TURKISH) | st.characters(exclude_categories=["Cs"]), max_size=60), st.data())
def test_whatever_is_heard_said_and_learned_it_goes_on(text: str, data: st.DataObject) -> None:
    """The draft only saves time: it must never be what fails."""
    tokenizer = get_tokenizer(True, num_languages=99, language="tr", task="transcribe")
    stamps = st.integers(tokenizer.timestamp_begin, tokenizer.timestamp_begin + 1500)
    heard = tokenizer.encode(text, disallowed_special=())
    anything = st.lists(st.sampled_from([*heard, *tokenizer.encode(" İi.,")]) | stamps, max_size=12)
    draft = Draft(tokenizer, data.draw(st.just(heard) | anything))
    for _ in range(6):
        guesses = draft.next(data.draw(st.integers(0, 12)))
        right = data.draw(st.integers(0, len(guesses)))
        for token in [*guesses[:right], *data.draw(anything)[:1]]:
            draft.follow(token)
        if right < len(guesses):
            likeliest = data.draw(st.lists(st.sampled_from(tokenizer.encode(" İi.,")) | stamps, max_size=len(guesses)))
            draft.learn(right, likeliest[: len(guesses) - right])


def test_a_control_token_in_live_text_is_text_like_all_other(tokenizer: Tokenizer) -> None:
    """Live text once held ``<|he|>``; encoding that text anew ended the session without a final."""
    hebrew = tokenizer.to_language_token("he")
    draft = Draft(tokenizer, [*tokenizer.encode(" one"), hebrew, *tokenizer.encode(" three four")])
    draft.follow(tokenizer.timestamp_begin)
    said(draft, tokenizer, " one two")
    assert isinstance(guessed(draft, tokenizer), str)
    assert "four" in guessed(said(draft, tokenizer, " three"), tokenizer)
