"""The live policy, on hypotheses written by hand: what is shown, what is promised, where the window goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.audio.types import SAMPLE_RATE
from openmic.speech.live.hypothesis import Hypothesis, TimedWord
from openmic.speech.live.policy import CONTEXT_TOKENS, SLIDE_SECONDS, CommitPolicy, PolicyUpdate


def words(text: str, start: float = 0.0, each: float = 0.4) -> tuple[TimedWord, ...]:
    """One word every ``each`` seconds, with one token a word (its hash, as tokens only need to differ)."""
    return tuple(
        TimedWord(f" {w}", (hash(w) % 50000,), start + i * each, start + (i + 1) * each, 0.9)
        for i, w in enumerate(text.split())
    )


def heard(text: str, start: float = 0.0, no_speech: float = 0.0, logprob: float = -0.2) -> Hypothesis:
    return Hypothesis(words(text, start), "en", no_speech, logprob, False)


def text_of(found: tuple[TimedWord, ...]) -> str:
    return "".join(word.text for word in found).strip()


def step(policy: CommitPolicy, text: str, end: float, start: float = 0.0, **kwargs: bool) -> PolicyUpdate:
    return policy.update(heard(text, start), round(end * SAMPLE_RATE), kwargs.pop("endpoint", False), **kwargs)


def test_a_first_hypothesis_is_shown_and_promises_nothing() -> None:
    update = step(CommitPolicy(), "ask not what", 3.0)
    assert text_of(update.live) == "ask not what"
    assert update.committed == ()


def test_two_hypotheses_that_agree_commit_the_words_they_share() -> None:
    policy = CommitPolicy()
    step(policy, "ask not what", 3.0)
    update = step(policy, "ask not that you", 3.0)
    assert text_of(update.committed) == "ask not"
    assert text_of(update.live) == "that you"


def test_agreement_does_not_mind_case_and_punctuation_and_takes_the_newer_spelling() -> None:
    policy = CommitPolicy()
    step(policy, "hello there", 3.0)
    assert text_of(step(policy, "Hello, there", 3.0).committed) == "Hello, there"


@pytest.mark.parametrize(
    ("language", "first", "second", "agreed"),
    [
        ("tr", "ışık var", "IŞIK var", True),
        ("tr", "işte izin", "İşte İzin", True),
        ("tr", "kırık var", "kirik var", False),
        ("az", "qızıl var", "QIZIL var", True),
        ("en", "it is", "IT is", True),
        ("de", "straße da", "STRASSE da", True),
        ("fr", "cafe\u0301 la", "Café la", True),
    ],
)
def test_agreement_knows_the_letters_of_the_language(language: str, first: str, second: str, agreed: bool) -> None:
    policy = CommitPolicy()
    policy.update(replace(heard(first), language=language), 3 * SAMPLE_RATE, False)
    update = policy.update(replace(heard(second), language=language), 3 * SAMPLE_RATE, False)
    assert bool(update.committed) == agreed


def test_words_at_the_very_end_of_the_audio_wait() -> None:
    policy = CommitPolicy()
    step(policy, "ask not", 0.95)
    update = step(policy, "ask not", 0.95)  # "not" ends at 0.8 s, 0.15 s before the end of the audio
    assert text_of(update.committed) == "ask"
    assert text_of(update.live) == "not"


@pytest.mark.parametrize(
    ("probability", "end", "shown"),
    [
        (0.65, 3.0, "ask not what"),
        (0.55, 1.3, "ask"),  # "not" ended 0.5 s ago: what comes next may make another word of it
        (0.3, 1.75, "ask"),
        (0.3, 1.85, "ask not"),
        (0.3, 2.25, "ask not what"),
        (0.95, 1.25, "ask not what"),  # "what" ended 0.05 s ago, and the model is sure of it
        (0.6, 1.25, "ask not"),
    ],
)
def test_improbable_words_are_shown_once_they_are_a_second_old(probability: float, end: float, shown: str) -> None:
    first, *rest = words("ask not what")
    unsure = Hypothesis((first, *(replace(word, probability=probability) for word in rest)), "es", 0.0, -0.2, False)
    assert text_of(CommitPolicy().update(unsure, round(end * SAMPLE_RATE), False).live) == shown


def test_an_improbable_word_on_which_hypotheses_agree_is_committed() -> None:
    policy = CommitPolicy()
    unsure = Hypothesis(tuple(replace(word, probability=0.1) for word in words("ask not")), "en", 0.0, -0.2, False)
    assert text_of(policy.update(unsure, round(1.3 * SAMPLE_RATE), False).live) == ""
    assert text_of(policy.update(unsure, round(1.3 * SAMPLE_RATE), False).committed) == "ask not"


def test_more_words_than_anybody_says_were_copied_from_the_prompt() -> None:
    policy = CommitPolicy(context=[1, 2, 3])
    step(policy, "ask not what", 2.0)
    copied = "and so my fellow americans ask not what your country can do for you ask what you can do for it"
    many = Hypothesis(words(f"{copied} {copied}", each=0.02), "en", 0.0, -0.2, False)
    update = policy.update(many, 2 * SAMPLE_RATE, False)
    assert update.committed == ()
    assert text_of(update.live) == "ask not what"
    assert policy.context == []
    assert text_of(policy.update(many, 2 * SAMPLE_RATE, True).committed) == "ask not what"


def test_fast_speech_is_believed() -> None:
    """Seven words a second, as an auctioneer."""
    text = " ".join(f"lot{n}" for n in range(21))
    update = CommitPolicy().update(Hypothesis(words(text, each=1 / 7), "en", 0.0, -0.2, False), 3 * SAMPLE_RATE, False)
    assert len(update.live) > 18


def test_a_word_cut_by_the_end_of_the_audio_is_shown_only_if_the_model_is_sure() -> None:
    unsure, sure = (
        Hypothesis((*words("ask"), TimedWord(" note", (7,), 0.4, 0.79, p)), "en", 0.0, -0.2, False) for p in (0.4, 0.95)
    )
    assert text_of(CommitPolicy().update(unsure, round(0.8 * SAMPLE_RATE), False).live) == "ask"
    assert text_of(CommitPolicy().update(sure, round(0.8 * SAMPLE_RATE), False).live) == "ask note"


def test_an_endpoint_commits_everything_and_begins_anew() -> None:
    policy = CommitPolicy()
    update = step(policy, "ask not what", 1.3, endpoint=True)
    assert text_of(update.committed) == "ask not what"
    assert update.live == ()
    assert policy.window_start == round(1.3 * SAMPLE_RATE)
    assert policy.prefix == []
    assert len(policy.context) == 3


def test_words_that_never_agree_are_committed_in_the_end() -> None:
    policy = CommitPolicy()
    step(policy, "one two three", 7.0)
    update = step(policy, "won too tree", 7.0)  # all of them ended more than five seconds ago
    assert text_of(update.committed) == "won too tree"


def full_stop(word: TimedWord) -> TimedWord:
    return TimedWord(word.text + ".", (*word.tokens, 13), word.start, word.end, word.probability, ".", 1)


def test_a_full_stop_after_the_last_word_is_not_promised_before_speech_has_ended() -> None:
    """Fed back as committed, it would tell the decoder that nothing follows, and live text would stand still."""
    policy = CommitPolicy()
    said = Hypothesis((*words("it was"), full_stop(words("therefore", 0.8)[0])), "en", 0.0, -0.2, False)
    policy.update(said, 2 * SAMPLE_RATE, False)
    update = policy.update(said, 2 * SAMPLE_RATE, False)
    assert text_of(update.committed) == "it was therefore"
    assert text_of(update.live) == "."
    mark = Hypothesis(policy.previous, "en", 0.0, -0.2, False)
    for _ in range(2):
        assert policy.update(mark, 2 * SAMPLE_RATE, False).committed == ()
    assert text_of(policy.update(mark, 2 * SAMPLE_RATE, True).committed) == "."


def test_a_full_stop_inside_is_promised_with_its_word() -> None:
    policy = CommitPolicy()
    said = Hypothesis((full_stop(words("well")[0]), *words("then now", 0.5)), "en", 0.0, -0.2, False)
    policy.update(said, round(1.3 * SAMPLE_RATE), False)
    update = policy.update(said, round(1.3 * SAMPLE_RATE), False)
    assert text_of(update.committed) == "well. then"


@pytest.mark.parametrize("endpoint", [False, True])
@pytest.mark.parametrize("copied", ["thank you for calling the library", "thank you"])
def test_a_hum_that_is_heard_as_the_prompt_says_is_decoded_without_it(copied: str, endpoint: bool) -> None:
    policy = CommitPolicy()
    step(policy, "good morning and thank you for calling the library", 4.0, endpoint=True)
    policy.update(heard("good", 5.0, 0.3), 6 * SAMPLE_RATE, False)
    update = policy.update(heard(copied, 5.0, 0.3), 7 * SAMPLE_RATE, endpoint)
    assert update == PolicyUpdate((), (), again=True)
    assert (policy.context, policy.previous, policy.window_start) == ([], (), 4 * SAMPLE_RATE)
    anew = policy.update(heard(copied, 5.0, 0.3), 7 * SAMPLE_RATE, True)
    assert text_of(anew.committed) == copied  # it was said after all


def test_who_says_a_thing_twice_is_heard_twice() -> None:
    policy = CommitPolicy()
    for begin in (0.0, 5.0):
        update = policy.update(heard("thank you for calling", begin, 0.1), round((begin + 4) * SAMPLE_RATE), True)
        assert text_of(update.committed) == "thank you for calling"


@pytest.mark.parametrize(("no_speech", "logprob", "text"), [(0.7, -1.2, ""), (0.56, -1.2, "yes"), (0.42, -0.69, "yes")])
def test_speech_in_noise_is_not_taken_for_silence(no_speech: float, logprob: float, text: str) -> None:
    """By no stricter measure than openai-whisper's: it would hide most of what is said among other voices."""
    update = CommitPolicy().update(heard("yes", 0.0, no_speech, logprob), SAMPLE_RATE, True)
    assert text_of(update.committed) == text


@pytest.mark.parametrize(
    ("said", "begin", "no_speech", "logprob", "text"),
    [
        ("we are going home", 0.14, 0.35, -1.7, ""),  # a hum
        ("we are going home", 0.14, 0.1, -1.7, "we are going home"),  # somebody mumbles
        ("we are going home", 0.6, 0.35, -1.7, "we are going home"),
        ("we are going home", 0.14, 0.35, -0.7, "we are going home"),
        ("thank you", 0.06, 0.1, -0.8, ""),  # coughs
        ("thank you", 0.6, 0.1, -0.8, "thank you"),
    ],
)
def test_an_utterance_that_the_model_does_not_hear_begin_is_not_written(
    said: str, begin: float, no_speech: float, logprob: float, text: str
) -> None:
    policy = CommitPolicy()
    first, *others = words(said, 0.0)
    hypothesis = Hypothesis((replace(first, probability=begin), *others), "en", no_speech, logprob, False)
    assert text_of(policy.update(hypothesis, 3 * SAMPLE_RATE, False).live) == text
    assert text_of(policy.update(hypothesis, 3 * SAMPLE_RATE, True).committed) == text


def test_committed_words_that_block_the_decoder_leave_the_window_and_the_prompt() -> None:
    policy = CommitPolicy(context=[1, 2, 3])
    for _ in range(2):
        step(policy, "ask not", 1.5)
    nothing = Hypothesis((), "en", 0.0, -0.2, False)
    policy.update(nothing, 2 * SAMPLE_RATE, False)
    assert policy.prefix
    policy.update(nothing, 3 * SAMPLE_RATE, False)
    assert policy.prefix == []
    assert policy.window_start == round(0.8 * SAMPLE_RATE)
    assert policy.context == []


def test_far_behind_one_hypothesis_is_enough() -> None:
    update = step(CommitPolicy(), "one two three", 1.9, behind=True)
    assert text_of(update.committed) == "one two"


def test_unsure_words_over_what_sounds_like_no_speech_are_not_said() -> None:
    policy = CommitPolicy()
    update = policy.update(heard("thank you", no_speech=0.9, logprob=-1.4), SAMPLE_RATE * 3, True)
    assert update == PolicyUpdate((), ())


def test_a_long_window_slides_between_committed_words_and_forgets_none() -> None:
    policy = CommitPolicy()
    first_half = " ".join(f"word{i}" for i in range(11))  # 4.4 s
    second_half = " ".join(f"word{i}" for i in range(11, 22))
    for text, start in ((first_half, 0.0), (second_half, 4.4)):
        for _ in range(2):
            update = step(policy, text, start + 4.8, start=start)
        assert len(update.committed) == 11
    assert 0 < policy.window_start < SLIDE_SECONDS * SAMPLE_RATE
    assert len(policy.context) + len(policy.prefix) == 22
    first = policy.prefix[0]
    assert policy.window_start <= first.start * SAMPLE_RATE + 1
    assert first.start <= 9.2 - 2.0  # some committed audio stays in front of what is unstable


def test_the_prompt_has_a_bound() -> None:
    policy = CommitPolicy()
    for i in range(30):
        step(policy, "a b c d e f g h", 4.0 * (i + 1), start=4.0 * i, endpoint=True)
    assert len(policy.context) == CONTEXT_TOKENS


def test_silence_before_speech_is_skipped_but_never_words() -> None:
    policy = CommitPolicy()
    policy.skip_to(5 * SAMPLE_RATE)
    assert policy.window_start == 5 * SAMPLE_RATE
    step(policy, "ask not", 7.0, start=5.0)
    policy.skip_to(6 * SAMPLE_RATE)
    assert policy.window_start == 5 * SAMPLE_RATE


@given(
    texts=st.lists(st.sampled_from(["", "and", "the same again", "thank you", "no " * 130]), min_size=1, max_size=6),
    each=st.sampled_from([0.1, 0.4, 4.0, 12.0]),
    no_speech=st.sampled_from([0.0, 0.4, 0.9]),
    logprob=st.sampled_from([-0.2, -1.5]),
)
def test_a_full_window_is_left_whatever_is_heard_in_it(
    texts: list[str], each: float, no_speech: float, logprob: float
) -> None:
    """Else it would be decoded again for ever, and the final never begin: twenty seconds of a murmur did that."""
    policy = CommitPolicy()
    for text in texts:
        start, heard_words = policy.window_start, words(text, policy.window_start / SAMPLE_RATE, each)
        hypothesis = Hypothesis(heard_words, "en", no_speech, logprob, False)
        update = policy.update(hypothesis, start + 12 * SAMPLE_RATE, False, behind=True)
        assert policy.window_start > start or update.again
        assert policy.window_start <= start + 12 * SAMPLE_RATE
