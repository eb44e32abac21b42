"""Names and terms stand before every window: live and final text spell them, and nobody who is silent says them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from whisper.tokenizer import get_tokenizer

from benchmarks.corpus.terms import session
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.glossary import PINNED_TOKENS, Glossary
from openmic.speech.types import SpeechOptions, Term
from tests.support.heard import heard

NAMES = tuple(Term(name) for name in ("Gardin Lybrary", "Tewsday", "Satturday"))
SAID = ("Nexovia", "Voorhees", "Skerryvore")  # by the speaker of ``speech``, in this order
RARE = """Abernathy Bjornsdottir Czerwinski Dragomirov Eichelberger Fitzwilliam Giannopoulos Haverkamp Iwasaki
    Jankowski Kaczmarek Lindqvist Mkhize Nwachukwu Oyelaran Papadakis Quesenberry Raghunathan Schwarzenbach Tkachenko
    Uchechukwu Vandermeer Wojciechowski Xiaoping Yevtushenko Zuckermann Castellanos Diyarbakir Eskisehir Przemysl"""


class Tokens:
    """A vocabulary without a model."""

    any = get_tokenizer(True, num_languages=99, language="en", task="transcribe")


def glossary(*terms: Term, prompt: str | None = None, room: int = 20) -> Glossary:
    tokens: Any = Tokens()
    return Glossary(tokens, SpeechOptions(prompt=prompt, vocabulary=terms), room)


def text(pinned: tuple[int, ...]) -> str:
    return str(Tokens.any.decode(list(pinned)))


def test_a_short_vocabulary_stands_whole_before_the_prompt() -> None:
    assert text(glossary(*NAMES, prompt="Two of us.").pinned("")) == " Gardin Lybrary, Tewsday, Satturday. Two of us."


def test_of_a_long_one_the_terms_stand_there_that_sound_like_what_was_heard() -> None:
    many = glossary(*[Term(name) for name in RARE.split()])
    assert "Wojciechowski" not in text(many.pinned(""))
    assert text(many.pinned("mister wojcihowski said")).endswith(" Wojciechowski.")
    assert text(many.pinned("he is from diarbakir")).endswith(" Diyarbakir.")
    assert "Przemysl" in text(many.pinned(""))  # the newest


def test_a_term_is_known_by_how_it_sounds() -> None:
    others = [Term(name) for name in RARE.split()]
    many = glossary(Term("Siobhan", ("shavawn",)), *others)
    assert text(many.pinned("my cousin Shavon studied")).endswith(" Siobhan.")


def test_there_is_a_bound_and_the_newest_of_the_prompt_counts() -> None:
    one = glossary(*[Term(name) for name in RARE.split()], prompt="old words " * 500 + "new ones")
    assert len(one.pinned("")) == PINNED_TOKENS
    assert text(one.pinned("")).endswith("new ones")
    assert glossary(Term("x" * 100)).pinned("") == ()  # one that has no room


def test_what_has_no_room_is_said() -> None:
    assert glossary(*NAMES, prompt="Two of us.").unused() == ""
    assert glossary(*[Term(name) for name in RARE.split()]).unused() == ""  # they take turns
    long = "Wojciechowski-Przemysl-" * 10
    said = glossary(Term("Ann"), Term(long), prompt="old words " * 500).unused()
    assert said == f"the term that begins with {long[:20]!r}, the prompt but its end (40 of 1000 tokens)"


def test_control_tokens_in_terms_are_text() -> None:
    pinned = glossary(Term("<|endoftext|>"), Term("<|en|>"), prompt="<|nospeech|>", room=60).pinned("")
    assert max(pinned) < Tokens.any.eot
    assert text(pinned) == " <|endoftext|>, <|en|>. <|nospeech|>"


def test_nothing_is_pinned_where_nothing_was_given() -> None:
    assert glossary().pinned("anything") == ()
    assert glossary(Term("..."), Term("Ann"), Term("Ann"), prompt=" ").pinned("") == tuple(Tokens.any.encode(" Ann."))


def test_what_is_read_off_from_the_prompt_was_not_heard() -> None:
    names = glossary(*NAMES)
    pinned = names.pinned("")
    assert names.copied("Gardin Lybrary, Tewsday, Satturday.", pinned)
    assert not names.copied("The Gardin Lybrary is open on Tewsday and on Satturday.", pinned)


@pytest.fixture(scope="module")
def speech() -> Samples:
    """Half a minute with made-up names in it."""
    return session(1).samples


@pytest.mark.weights
@pytest.mark.slow
def test_live_and_final_text_spell_what_the_client_named(engine_parts: Any, speech: Samples) -> None:
    parts, _ = engine_parts
    plain = heard(parts, speech, SpeechOptions("en"), {})
    assert not any(name in found for found in plain for name in SAID)
    others = tuple(Term(name) for name in RARE.split())
    for options in (
        SpeechOptions("en", vocabulary=(*map(Term, SAID), *others)),
        SpeechOptions("en", prompt=", ".join(SAID) + "."),
    ):
        for found in heard(parts, speech, options, {}):
            assert all(name in found for name in SAID), (options, found)
            assert found.strip().startswith("Our partner")
            assert found.endswith("and he agreed."), "invented behind the end"
            assert not any(name in found for name in RARE.split())


@pytest.mark.weights
@pytest.mark.slow
def test_a_vocabulary_can_be_changed_in_the_middle(engine_parts: Any, speech: Samples) -> None:
    before, after = SpeechOptions("en"), SpeechOptions("en", vocabulary=tuple(map(Term, SAID)))
    live, final = heard(engine_parts[0], speech, before, {15.0: after})
    early, *_, late = SAID
    assert early not in live
    assert late in live
    assert late in final


@pytest.mark.weights
@pytest.mark.slow
def test_nobody_who_is_silent_says_a_term(engine_parts: Any) -> None:
    parts, _ = engine_parts
    noise = np.random.default_rng(0).normal(0, 0.01, 8 * SAMPLE_RATE).astype(np.float32)
    options = SpeechOptions("en", vocabulary=tuple(Term(name) for name in RARE.split()))
    assert heard(parts, noise, options, {}) == ("", "")
