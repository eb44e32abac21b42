"""Guess the next tokens from a text that says nearly the same.

The live pass has heard the words already when the final pass comes to them. Its tokens are put before the decoder as a
draft, many in one pass; the decoder's own choice counts, so the result does not change, only the number of passes
(speculative decoding, Leviathan et al. 2023, with the live text in the place of a draft model).
"""

from __future__ import annotations

from collections.abc import Sequence

SEARCH_TOKENS = 24  # how far ahead the place is looked for again after a difference


class Draft:
    """A place in the text that is expected, moved along by what is really said.

    Args:
        source: the tokens that are expected. Tokens that are not in it do not move the place, so that timestamps may be
            said between the words of a text without them.
    """

    def __init__(self, source: Sequence[int]) -> None:
        self._source = list(source)
        self._known = frozenset(source)
        self._place = 0
        self._last: int | None = None

    def next(self, count: int) -> list[int]:
        """Up to ``count`` tokens that may come now."""
        return self._source[self._place : self._place + count]

    def follow(self, token: int) -> None:
        """A token was said: move to behind it, if it can be found ahead."""
        if token not in self._known:
            return
        source, place = self._source, self._place
        if source[place : place + 1] == [token]:
            self._place = place + 1
        else:
            ahead = range(place, min(place + SEARCH_TOKENS, len(source)))
            pairs = [i for i in ahead if i > 0 and source[i] == token and source[i - 1] == self._last]
            if pairs:
                self._place = pairs[0] + 1
        self._last = token
