"""Guess the next tokens from a text that says nearly the same.

The live pass has heard the words already when the final pass comes to them. Its text is put before the decoder as a
draft, many tokens in one pass; the decoder's own choice counts, so the result does not change, only the number of
passes (speculative decoding, Leviathan et al. 2023, with the live text in the place of a draft model). What is said is
followed letter by letter, so that neither capitals and commas nor another cut into tokens lose the place.
"""

from __future__ import annotations

from collections.abc import Sequence

from whisper.tokenizer import Tokenizer

TAIL_LETTERS = 5  # said last, by which the place is found again after a difference
TAIL_TOKENS = 8  # in which they are
SEARCH_LETTERS = 100  # how far ahead it is looked for
LONGEST_TOKEN = 12  # letters; more of the text than this for each token is not cut into tokens


class Draft:
    """A place in the text that is expected, moved along by what is really said.

    Args:
        tokenizer: whose tokens are said.
        expected: the tokens of the text, with or without timestamps. Without, they are guessed: a segment mostly
            begins at the time at which the one before it has ended, and the first one at 0.
    """

    def __init__(self, tokenizer: Tokenizer, expected: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._begin = int(tokenizer.timestamp_begin)
        self._text = ""
        self._stamps: list[tuple[int, int]] = []  # (place in the text, timestamp)
        run: list[int] = []
        for token in expected:
            if token < self._begin:
                run.append(token)
                continue
            self._text += tokenizer.decode(run)
            run = []
            self._stamps.append((len(self._text), token))
        self._text += tokenizer.decode(run)
        self._places = [place for place, letter in enumerate(self._text) if letter.isalnum()]
        self._letters = "".join(self._text[place] for place in self._places).lower()
        self._said: list[int] = []
        self._stamped = bool(self._stamps)
        self._echo = None if self._stamped or not self._text else self._begin
        self._place = 0  # in the text
        self._heard = 0  # letters of it that were said

    def next(self, count: int) -> list[int]:
        """Up to ``count`` tokens that may come now."""
        guesses = [] if self._echo is None else [self._echo]
        place = self._place
        for until, stamp in [*self._stamps, (len(self._text), None)]:
            if len(guesses) >= count:
                break
            until = max(until, place)
            guesses += self._tokenizer.encode(self._text[place : min(until, place + LONGEST_TOKEN * count)])
            place = until
            if stamp is not None:
                guesses.append(stamp)
        return guesses[:count]

    def follow(self, token: int) -> None:
        """A token was said: move to behind it, if it can be found ahead."""
        if token >= self._begin:
            self._echo = token if self._said and self._echo is None and not self._stamped and self._text else None
            del self._stamps[:1]
            return
        self._echo = None
        self._said.append(token)
        text = self._tokenizer.decode([token])
        letters = _letters(text)
        if not letters:
            if self._text.startswith(text, self._place):
                self._place += len(text)
            return
        if self._letters.startswith(letters, self._heard):
            self._move(self._heard + len(letters))
            return
        tail = _letters(self._tokenizer.decode(self._said[-TAIL_TOKENS:]))[-TAIL_LETTERS:]
        begin = max(0, self._heard - len(tail) + 1)
        found = self._letters.find(tail, begin, self._heard + SEARCH_LETTERS)
        if found >= 0:
            self._move(found + len(tail))

    def _move(self, heard: int) -> None:
        """All letters before ``heard`` have been said."""
        self._heard = heard
        self._place = self._places[heard - 1] + 1
        while self._stamps and self._stamps[0][0] < self._place:
            del self._stamps[0]


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())
