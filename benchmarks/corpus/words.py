"""What a word is to the measures: lower case, no punctuation."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(r"(?:\d[,.](?=\d)|(?<=\w)['’](?=\w)|[^\W_])+")


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of a reference, as ``words`` gives it, and when it ends in the audio, in seconds."""

    text: str
    end: float


def words(text: str) -> list[str]:
    """The words of a text; a hyphen parts words, an apostrophe or a comma within a number does not."""
    return [_plain(match.group()) for match in _WORD.finditer(text)]


def spans(text: str) -> list[tuple[str, int]]:
    """The words of a text, each with the place of its last character."""
    return [(_plain(match.group()), match.end() - 1) for match in _WORD.finditer(text)]


def _plain(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())
