"""Guess the next tokens from a text that says nearly the same.

The live pass has heard the words already when the final pass comes to them. Its text is put before the decoder as a
draft, many tokens in one pass; the decoder's own choice counts, so the result does not change, only the number of
passes (speculative decoding, Leviathan et al. 2023, with the live text in the place of a draft model). What is said is
followed letter by letter, so that neither capitals and commas nor another cut into tokens lose the place.

A pass also says what the decoder would choose behind a difference. That is not the result, which may depend on the
difference, but mostly it comes to the same: it is learned, above all where timestamps will be, and guessed in the next
pass (as in Jacobi decoding, Santilli et al. 2023).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from whisper.tokenizer import Tokenizer

from openmic.speech.model.tokens import encode_text

TAIL_LETTERS = 5  # said last, by which the place is found again after a difference
TAIL_TOKENS = 8  # in which they are
SEARCH_LETTERS = 100  # how far ahead it is looked for
SURE_TOKENS = 3  # in a row that go on in the text: the place is the right one, and not one that only looks like it
MARKS = tuple(".,;:!?…。，、！？")  # behind which a segment mostly ends
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
        self._marks: dict[int, int] = {}  # place in the text: the punctuation there instead of the text's
        self._stamps: dict[int, list[int]] = {}  # the timestamps behind that
        self._words: dict[int, int] = {}  # the token that says otherwise what comes then
        run: list[int] = []
        for token in expected:
            if token < self._begin:
                run.append(token)
                continue
            self._text += tokenizer.decode(run)
            run = []
            self._stamps.setdefault(len(self._text), []).append(token)
        self._text += tokenizer.decode(run)
        self._places = [place for place, letter in enumerate(self._text) if letter.isalnum()]
        self._letters = "".join(_folded(self._text[place]) for place in self._places)
        self._said: list[int] = []
        self._begun = True  # a timestamp now is a segment's begin
        self._place = 0  # in the text
        self._sure = 0  # in the text: up to there it was followed token by token
        self._in_line = 0  # tokens in a row that were the text's next ones
        self._guesses: list[int] = []
        self._behind: list[int] = []  # place in the text behind each of them
        if self._text and not self._stamps:
            self._stamps[0] = [self._begin]

    def next(self, count: int) -> list[int]:
        """Up to ``count`` tokens that may come now."""
        self._guesses, self._behind = [], []
        place = self._place
        while len(self._guesses) < count:
            if place in self._marks:
                mark = self._marks[place]
                place = self._passed(place)
                self._guess([mark], place)
            self._guess(self._stamps.get(place, ()), place)
            if place == len(self._text):
                break
            if place in self._words:
                word = self._words[place]
                place = self._behind_letters(place, _letters(self._tokenizer.decode([word]))) or len(self._text)
                self._guess([word], place)
                continue
            until = min(self._cut(place), place + LONGEST_TOKEN * count)
            self._guess_text(place, until)
            place = until
        del self._guesses[count:], self._behind[count:]
        return list(self._guesses)

    def follow(self, token: int) -> None:
        """A token was said: move to behind it, if it can be found ahead."""
        self._marks.pop(self._place, None)
        if token >= self._begin:
            self._follow_stamp(token)
            return
        self._begun = False
        self._said.append(token)
        text = self._tokenizer.decode([token])
        letters = _letters(text)
        if not letters:
            own = self._text.startswith(text, self._place)
            self._place = self._place + len(text) if own else self._passed(self._place)
            return
        after = self._behind_letters(self._place, letters)
        if after is not None:
            self._in_line += 1
            if self._in_line >= SURE_TOKENS:
                self._sure = after
        else:
            self._in_line = 0
            tail = _letters(self._tokenizer.decode(self._said[-TAIL_TOKENS:]))[-TAIL_LETTERS:]
            heard = bisect_left(self._places, self._sure)
            found = self._letters.find(tail, max(0, heard - len(tail) + 1), heard + SEARCH_LETTERS)
            after = self._place if found < 0 else self._places[found + len(tail) - 1] + 1
        self._place = after

    def learn(self, first: int, tokens: Sequence[int]) -> None:
        """Take in what the decoder would say behind guesses that follow a difference.

        Args:
            first: number, among the guesses given last, of the one that was not said.
            tokens: the likeliest ones behind it and behind each later guess, were all of them right.
        """
        stamped = self._begun
        for guess, token in enumerate(tokens, first):
            if token >= self._begin and not self._text[: self._behind[guess]].endswith(MARKS):
                if stamped:
                    continue  # where a timestamp is missing, one is wanted behind every word
                stamped = True
            self._learn(guess, token)

    def _learn(self, guess: int, token: int) -> None:
        place, text = self._behind[guess], self._guesses[guess] < self._begin
        following = self._guesses[guess + 1] if guess + 1 < len(self._guesses) else None
        over = self._begun and place == self._place  # the segment: no mark or timestamp comes any more
        if token == following:
            return
        if following is not None and following == self._marks.get(place):
            del self._marks[place]
        if token >= self._begin:
            if text and not over:
                self._stamps[place] = [token] if place == len(self._text) else [token, token]
            return
        if token >= self._tokenizer.eot or following is None:
            return
        letters = _letters(self._tokenizer.decode([token]))
        if not letters:
            if not over:
                self._marks[place] = token
        elif following >= self._begin and text and not over:
            self._stamps.pop(place, None)
        elif self._behind_letters(place, letters) is not None:
            self._words[place] = token

    def _follow_stamp(self, token: int) -> None:
        """A timestamp was said: another begins the next segment, and is mostly the same."""
        self._place = self._passed(self._place)
        known = self._stamps.pop(self._place, [])
        if not self._begun and self._place < len(self._text):
            self._stamps[self._place] = known[1:] if len(set(known)) > 1 else [token]
        self._begun = True

    def _cut(self, place: int) -> int:
        """The next place behind ``place`` at which something else than the text comes, or its end."""
        cuts = (*self._marks, *self._stamps, *self._words)
        return min((cut for cut in cuts if cut > place), default=len(self._text))

    def _guess(self, tokens: Sequence[int], place: int) -> None:
        self._guesses.extend(tokens)
        self._behind.extend([place] * len(tokens))

    def _guess_text(self, place: int, until: int) -> None:
        tokens = encode_text(self._tokenizer, self._text[place:until])
        _, offsets = self._tokenizer.encoding.decode_with_offsets(tokens)
        self._guesses.extend(tokens)
        self._behind.extend(place + offset for offset in [*offsets[1:], until - place])

    def _behind_letters(self, place: int, letters: str) -> int | None:
        """The place behind ``letters``, if they are the text's next ones from ``place`` on."""
        first = bisect_left(self._places, place)
        return self._places[first + len(letters) - 1] + 1 if self._letters.startswith(letters, first) else None

    def _passed(self, place: int) -> int:
        """The place behind the punctuation at ``place``."""
        while place < len(self._text) and not (self._text[place].isalnum() or self._text[place].isspace()):
            place += 1
        return place


def _letters(text: str) -> str:
    return "".join(_folded(letter) for letter in text if letter.isalnum())


def _folded(letter: str) -> str:
    """One letter for one, whatever its case: the capital of the Turkish i becomes two by itself."""
    return letter.lower()[:1].replace("ı", "i")
