"""Letters as a line of text needs them: which scripts put no spaces between words, and what makes up one word."""

from __future__ import annotations

import unicodedata

from openmic.folding import APOSTROPHES

SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # small Katakana
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han, compatibility
    (0x20000, 0x3FFFF),  # Han, the further extensions
)
"""First and last code point of scripts that are written without spaces between words."""

SPOKEN_SIGNS = "%&@#§"


def is_spaceless(char: str) -> bool:
    """Whether ``char`` belongs to a script without spaces between words."""
    code = ord(char)
    return code >= SPACELESS[0][0] and any(first <= code <= last for first, last in SPACELESS)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where the words of ``text`` stand: (start, end) in code points, without the punctuation around them.

    In a script without spaces every letter, with its marks, is a word of its own; so is a sign that is spoken (``%``,
    ``&``, ``+``, a currency). An apostrophe between letters is part of its word; a hyphen is not.
    """
    spans: list[tuple[int, int]] = []
    start: int | None = None  # of the word we are in
    for index, char in enumerate(text):
        kind = _kind(char)
        if kind == "mark" and (start is not None or (spans and spans[-1][1] == index)):
            if start is None:
                spans[-1] = (spans[-1][0], index + 1)
            continue
        if kind == "letter" or (kind == "apostrophe" and start is not None and _letter_at(text, index + 1)):
            start = index if start is None else start
            continue
        if start is not None:
            spans.append((start, index))
            start = None
        if kind == "single":
            spans.append((index, index + 1))
    if start is not None:
        spans.append((start, len(text)))
    return spans


def _kind(char: str) -> str:
    if char in APOSTROPHES:
        return "apostrophe"
    category = unicodedata.category(char)
    if category[0] == "M" or category == "Cf":
        return "mark"
    if category[0] in "LN":
        return "single" if is_spaceless(char) else "letter"
    return "single" if category in ("Sc", "Sm", "So") or char in SPOKEN_SIGNS else "gap"


def _letter_at(text: str, index: int) -> bool:
    return index < len(text) and _kind(text[index]) == "letter"
