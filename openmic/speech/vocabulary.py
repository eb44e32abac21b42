"""What openai-whisper's tokenizer means to the passes: control tokens, what may never be said, words of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from whisper.model import Whisper
from whisper.tokenizer import Tokenizer, get_tokenizer

from openmic.speech.problems import PROBLEMS
from openmic.speech.types import SpeechOptions, Task


class Vocabulary:
    """The tokenizers of one model, by language and task.

    Args:
        model: the loaded model; only its dimensions are read.
    """

    def __init__(self, model: Whisper) -> None:
        self.multilingual = bool(model.is_multilingual)
        self._languages = int(model.num_languages)
        self._tokenizers: dict[tuple[str, Task], Tokenizer] = {}

    def check(self, options: SpeechOptions) -> None:
        """Raise ``unknown_language`` if this model cannot do what ``options`` ask for."""
        codes = self.language_codes if self.multilingual else ("en",)
        if options.language is not None and options.language not in codes:
            raise PROBLEMS.error("unknown_language", language=options.language)

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

    @cached_property
    def language_codes(self) -> tuple[str, ...]:
        """ISO 639-1 codes of the model's languages."""
        return tuple(self.any.all_language_codes)

    @cached_property
    def language_tokens(self) -> list[int]:
        """The language tokens, in the order of ``language_codes``."""
        return list(self.any.all_language_tokens)

    @cached_property
    def never(self) -> list[int]:
        """Tokens that are never sampled: symbols that are not speech, and control tokens (as in openai-whisper)."""
        t = self.any
        control = [t.transcribe, t.translate, t.sot, t.sot_prev, t.sot_lm, t.no_speech]
        return sorted({*t.non_speech_tokens, *control})

    @cached_property
    def blank(self) -> list[int]:
        """What a window may not begin with: a lone space."""
        return list(self.any.encode(" "))

    def words(self, tokens: Sequence[int], language: str | None) -> list[tuple[str, list[int]]]:
        """Split text tokens into words with their tokens; punctuation stays with the word before it."""
        tokenizer = self.tokenizer(language, "transcribe")
        texts, groups = tokenizer.split_to_word_tokens(list(tokens))
        words: list[tuple[str, list[int]]] = []
        for text, group in zip(texts, groups, strict=True):
            glued = words and not text.startswith(" ") and not any(c.isalnum() for c in text)
            if glued or (words and not any(c.isalnum() for c in words[-1][0])):
                words[-1] = (words[-1][0] + text, words[-1][1] + group)
            else:
                words.append((text, group))
        return words
