"""What openai-whisper's tokenizer means to the passes: control tokens, what may never be said, words of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from whisper.model import Whisper
from whisper.tokenizer import Tokenizer, get_tokenizer

from openmic.speech.languages import SHOWN_LETTERS
from openmic.speech.problems import PROBLEMS
from openmic.speech.types import SpeechOptions, Task


class WordTokens(NamedTuple):
    """A word and the punctuation behind it: texts and tokens of both."""

    stem: str
    tokens: list[int]
    mark: str = ""
    mark_tokens: list[int] = []  # noqa: RUF012  (never changed)


class Vocabulary:
    """The tokenizers of one model, by language and task.

    Args:
        model: the loaded model; only its dimensions are read.
        name: of the model, for people.

    Attributes:
        multilingual: it knows more than English.
        translates: it can write English where another language is spoken. turbo cannot: its decoder was pruned to four
            layers and taught to transcribe alone (https://github.com/openai/whisper/discussions/2363).
    """

    def __init__(self, model: Whisper, name: str = "loaded") -> None:
        self.multilingual = bool(model.is_multilingual)
        self.translates = self.multilingual and model.dims.n_text_layer == model.dims.n_audio_layer
        self._name = name
        self._languages = int(model.num_languages)
        self._never_on: dict[torch.device, Tensor] = {}
        self._tokenizers: dict[tuple[str, Task], Tokenizer] = {}

    def check(self, options: SpeechOptions) -> None:
        """Raise ``unknown_language`` or ``cannot_translate`` if this model cannot do what ``options`` ask for."""
        if options.language is not None and options.language not in self.languages:
            known = ", ".join(self.languages)
            raise PROBLEMS.error("unknown_language", language=options.language[:SHOWN_LETTERS], known=known)
        if options.task == "translate" and not self.translates:
            raise PROBLEMS.error("cannot_translate", model=self._name)

    def tokenizer(self, language: str | None, task: Task) -> Tokenizer:
        """The tokenizer whose start sequence asks for ``task`` in ``language`` (None: English)."""
        key = (language or "en", task)
        if key not in self._tokenizers:
            self._tokenizers[key] = get_tokenizer(
                self.multilingual, num_languages=self._languages, language=key[0], task=task
            )
        return self._tokenizers[key]

    @property
    def any(self) -> Tokenizer:
        """A tokenizer for what does not depend on the language."""
        return self.tokenizer("en", "transcribe")

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes of what may be spoken: English alone, where the model knows no other."""
        return self.language_codes if self.multilingual else ("en",)

    @cached_property
    def language_codes(self) -> tuple[str, ...]:
        """ISO 639-1 codes of the languages that it has tokens for."""
        return tuple(self.any.all_language_codes)

    @cached_property
    def language_tokens(self) -> list[int]:
        """The language tokens, in the order of ``language_codes``."""
        return list(self.any.all_language_tokens)

    @cached_property
    def never(self) -> list[int]:
        """Tokens that are never sampled: symbols that are not speech, and control tokens but the end and the times.

        openai-whisper's list leaves the languages out, and where no timestamps are wanted ``<|notimestamps|>``, too: in
        live text ``<|he|>`` would be shown as a word.
        """
        t = self.any
        return sorted({*t.non_speech_tokens, *range(t.eot + 1, t.timestamp_begin)})

    def never_on(self, device: torch.device) -> Tensor:
        """``never`` on ``device``, shape (n,), int64; it is put there once."""
        if device not in self._never_on:
            self._never_on[device] = torch.tensor(self.never, device=device)
        return self._never_on[device]

    @cached_property
    def blank(self) -> list[int]:
        """What a window may not begin with: a lone space."""
        return encode_text(self.any, " ")

    def words(self, tokens: Sequence[int], language: str | None) -> list[WordTokens]:
        """Split text tokens into words; punctuation stays with the word before it, or at the start the one after it."""
        tokenizer = self.tokenizer(language, "transcribe")
        texts, groups = tokenizer.split_to_word_tokens(list(tokens))
        words: list[WordTokens] = []
        for text, group in zip(texts, groups, strict=True):
            last = words[-1] if words else None
            if last and not text.startswith(" ") and not _is_spoken(text):
                words[-1] = WordTokens(last.stem, last.tokens, last.mark + text, [*last.mark_tokens, *group])
            elif last and not _is_spoken(last.stem):
                words[-1] = WordTokens(last.stem + last.mark + text, [*last.tokens, *last.mark_tokens, *group])
            else:
                words.append(WordTokens(text, group))
        return words


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of any text; what is spelled like a control token (``<|endoftext|>``) is text like all other."""
    return list(tokenizer.encode(text, disallowed_special=()))


def _is_spoken(text: str) -> bool:
    return any(c.isalnum() for c in text)
