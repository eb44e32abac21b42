"""Whisper's languages by name, and by the tags that other programs use for them."""

from __future__ import annotations

import re

from openmic.speech.problems import PROBLEMS

SHOWN_LETTERS = 40  # of a language that is not known, in the error
DETECT = ("", "auto", "multi", "detect", "unknown")
"""What stands for "find out" in the place of a language."""

OTHER_CODES = {"iw": "he", "in": "id", "ji": "yi", "jv": "jw", "nb": "no", "fil": "tl", "cmn": "zh", "hbs": "sr"}
"""Codes of today and of yesterday for languages that Whisper knows by another one."""

OWN_NAMES = {
    "türkçe": "tr", "deutsch": "de", "français": "fr", "español": "es", "italiano": "it", "português": "pt",
    "nederlands": "nl", "polski": "pl", "русский": "ru", "українська": "uk", "العربية": "ar", "हिन्दी": "hi",
    "中文": "zh", "日本語": "ja", "한국어": "ko",
}  # fmt: skip
"""What speakers of some languages call their own, by which the notebook's form offers them."""


def language_name(code: str) -> str:
    """The English name of an ISO 639-1 code, as openai-whisper writes it ("tr": "turkish"); "" stays ""."""
    from whisper.tokenizer import LANGUAGES  # here, so that rooms which never ask need not load it

    return str(LANGUAGES.get(code, code))


def language_code(tag: str | None) -> str | None:
    """The code that Whisper has for a language, whichever way it is written; None: it is to be detected.

    Args:
        tag: ISO 639-1 (`en`), BCP 47 (`en-US`, `zh-Hans`, `pt_BR`), an English name (`english`), some own names
            (`türkçe`), or a word such as `auto` or `multi`; upper and lower case are the same.

    Raises:
        OpenmicError: ``unknown_language``.
    """
    from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE

    written = (tag or "").strip().lower().replace("i\u0307", "i")  # as "İ" is in lower case
    if written in DETECT:
        return None
    if written in OWN_NAMES:
        return OWN_NAMES[written]
    if written in TO_LANGUAGE_CODE:
        return str(TO_LANGUAGE_CODE[written])
    parts = re.split(r"[-_]", written)
    for part in [parts[1], parts[0]] if parts[0] == "zh" and len(parts) > 1 else parts[:1]:  # zh-yue is Cantonese
        code = OTHER_CODES.get(part, part)
        if code in LANGUAGES and (part == parts[0] or part == "yue"):
            return code
    raise PROBLEMS.error("unknown_language", language=(tag or "")[:SHOWN_LETTERS])


def language_codes() -> list[str]:
    """The ISO 639-1 codes of all languages that Whisper knows."""
    from whisper.tokenizer import LANGUAGES

    return list(LANGUAGES)
