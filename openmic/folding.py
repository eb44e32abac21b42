"""Words as they are compared: without case, accents' spelling and invisible characters."""

from __future__ import annotations

import re
import unicodedata

APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}"
DOTTED_I_LANGUAGES = ("tr", "az")  # where I is the capital of dotless ı, and İ that of i
_UNHEARD = re.compile(f"[{APOSTROPHES}\N{SOFT HYPHEN}\N{ZERO WIDTH SPACE}-\N{RIGHT-TO-LEFT MARK}]")


def fold(word: str, language: str | None = None) -> str:
    """A word as it is compared; folding what was folded changes nothing.

    Args:
        word: any text; its spaces and punctuation stay.
        language: ISO 639-1; in Turkish and Azerbaijani ``I`` is the capital of ``ı``, not of ``i``.
    """
    if language in DOTTED_I_LANGUAGES:
        word = unicodedata.normalize("NFC", word).replace("İ", "i").replace("I", "ı")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
    return _UNHEARD.sub("", folded)


def fold_letters(text: str, language: str | None = None) -> str:
    """The letters and digits of a text alone, folded."""
    return "".join(letter for letter in fold(text, language) if letter.isalnum())
