"""Whisper's languages by name."""

from __future__ import annotations


def language_name(code: str) -> str:
    """The English name of an ISO 639-1 code, as openai-whisper writes it ("tr": "turkish"); "" stays ""."""
    from whisper.tokenizer import LANGUAGES  # here, so that rooms which never ask need not load it

    return str(LANGUAGES.get(code, code))
