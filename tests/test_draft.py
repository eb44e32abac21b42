"""A draft follows what is said, and finds its place again after a difference."""

from __future__ import annotations

from openmic.speech.draft import Draft


def said(draft: Draft, *tokens: int) -> Draft:
    for token in tokens:
        draft.follow(token)
    return draft


def test_it_offers_what_comes_next() -> None:
    assert Draft([1, 2, 3]).next(2) == [1, 2]
    assert said(Draft([1, 2, 3]), 1, 2).next(5) == [3]


def test_a_word_that_was_not_expected_leaves_the_place() -> None:
    assert said(Draft([1, 2, 3]), 1, 9).next(5) == [2, 3]


def test_after_a_difference_two_tokens_in_a_row_find_the_place() -> None:
    assert said(Draft([1, 2, 3, 4, 5, 6]), 1, 9, 4, 5).next(5) == [6]


def test_nothing_expected_offers_nothing() -> None:
    assert said(Draft([]), 1, 2).next(5) == []


def test_tokens_that_are_nowhere_in_it_do_not_matter() -> None:
    assert said(Draft([1, 2, 3, 4, 5, 6]), 1, 900, 9, 4, 901, 5).next(5) == [6]
