"""The client's own names and terms: which of them stand in front of a window's prompt.

Whisper spells what it hears as its prompt does, but only in the window that the prompt stands before, and a prompt has
few places. So each window gets those terms that sound like what was heard in it the last time, in front of the text
that came before it; of the others the newest, as long as there is room.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from openmic.speech.model.tokens import Vocabulary, encode_text
from openmic.speech.types import SpeechOptions, Term

PINNED_TOKENS = 140  # of a window's prompt: the client's terms and text
LIVE_TERM_TOKENS = 60  # of these: terms, of a live window,
FINAL_TERM_TOKENS = 100  # and of a window of the final pass, which is three times as long
ALIKE = 60.0  # of 100: a term as near as this to what was heard may be what was said
COPIED_TERMS = 3  # one behind the other as the prompt has them were not heard
SHOWN_LETTERS = 20  # of a term, in a warning
HEARD_LETTERS = 800  # that terms are compared with, the newest: more than anybody says in a window


@dataclass(frozen=True, slots=True)
class _Entry:
    """A term, its tokens with the comma before it, and the letters that it is known by."""

    term: Term
    tokens: tuple[int, ...]
    sounds: tuple[str, ...]


class Glossary:
    """The prompt and the vocabulary of one stream.

    Args:
        vocabulary: of the model, whose tokens are counted.
        options: what the client asked for.
        term_tokens: how many tokens the terms of one window may have.
    """

    def __init__(self, vocabulary: Vocabulary, options: SpeechOptions, term_tokens: int) -> None:
        self._most = term_tokens
        tokenizer = vocabulary.any
        self._decode = tokenizer.decode
        prompt = (options.prompt or "").strip()
        self._prompt = encode_text(tokenizer, " " + prompt) if prompt else []
        self._comma, self._stop = encode_text(tokenizer, ","), encode_text(tokenizer, ".")
        newest_first = {term.text: term for term in reversed(options.vocabulary) if letters(term.text)}
        self._entries = [
            _Entry(
                term,
                tuple(encode_text(tokenizer, " " + term.text)),
                tuple(map(letters, (term.text, *term.sounds_like))),
            )
            for term in newest_first.values()
        ]
        self._sounds = [sound for entry in self._entries for sound in entry.sounds]
        self._places = [place for place, entry in enumerate(self._entries) for _ in entry.sounds]

    @property
    def chooses(self) -> bool:
        """Whether there are more terms than there is room for, so that it matters what was heard."""
        return sum(len(entry.tokens) + 1 for entry in self._entries) > self._most

    def unused(self) -> str:
        """What of it some window has no room for, in some words; "" where all of it counts, live and final."""
        too_long = [entry.term.text for entry in self._entries if len(entry.tokens) + 1 > LIVE_TERM_TOKENS]
        found = [f"the term that begins with {text[:SHOWN_LETTERS]!r}" for text in too_long]
        room = PINNED_TOKENS - min(FINAL_TERM_TOKENS, sum(len(entry.tokens) + 1 for entry in self._entries))
        if len(self._prompt) > room:
            found.append(f"the prompt but its end ({room} of {len(self._prompt)} tokens)")
        return ", ".join(found)

    def pinned(self, text: str) -> tuple[int, ...]:
        """The tokens in front of a window's prompt.

        Args:
            text: what an earlier decoding of the window has heard.
        """
        terms = self._chosen(text)
        listed: list[int] = []
        for tokens in terms:
            listed += [*(self._comma if listed else ()), *tokens]
        listed += self._stop if listed else ()
        room = PINNED_TOKENS - len(listed)
        return (*listed, *(self._prompt[-room:] if room > 0 else ()))

    def copied(self, text: str, pinned: Sequence[int]) -> bool:
        """Whether ``text``, heard behind ``pinned``, is read off from it: ``COPIED_TERMS`` terms in that order."""
        said = letters(text)
        listed = [letters(term) for term in self._decode(pinned).split(",")]
        runs = ("".join(listed[place : place + COPIED_TERMS]) for place in range(len(listed) - COPIED_TERMS + 1))
        return any(run in said for run in runs)

    def holds(self, pinned: Sequence[int], text: str) -> bool:
        """Whether ``pinned`` has all terms that what was heard may be."""
        return not self.chooses or set(self.pinned(text)) <= {*pinned, *self._comma, *self._stop}

    def _chosen(self, text: str) -> list[tuple[int, ...]]:
        """Tokens of the terms that are pinned, the likeliest last: next to the text."""
        room, chosen = self._most, []
        for place in self._ranked(text):
            tokens = self._entries[place].tokens
            if len(tokens) + 1 <= room:
                room -= len(tokens) + 1
                chosen.append(tokens)
        return chosen[::-1]

    def _ranked(self, text: str) -> list[int]:
        """Places of the terms: those that sound like something that was heard, then the newest."""
        places = range(len(self._entries))
        sounding = letters(text)[-HEARD_LETTERS:]
        if not self.chooses or not sounding:
            return list(places)
        best = [0.0] * len(self._entries)
        found = process.extract(
            sounding, self._sounds, scorer=fuzz.partial_ratio, processor=None, score_cutoff=ALIKE, limit=None
        )
        for _, score, number in found:
            place = self._places[number]
            best[place] = max(best[place], score)
        return sorted(places, key=lambda place: -best[place])


def letters(text: str) -> str:
    """The letters and digits alone, without case and accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in plain if letter.isalnum())
