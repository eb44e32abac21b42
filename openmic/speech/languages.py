"""Whisper's languages by name, and by the tags that other programs use for them."""

from __future__ import annotations

import re

from openmic.speech.problems import PROBLEMS

LANGUAGES = {
    code: name.replace("_", " ")
    for code, _, name in (
        pair.partition(":")
        for pair in [
            "en:english",
            "zh:chinese",
            "de:german",
            "es:spanish",
            "ru:russian",
            "ko:korean",
            "fr:french",
            "ja:japanese",
            "pt:portuguese",
            "tr:turkish",
            "pl:polish",
            "ca:catalan",
            "nl:dutch",
            "ar:arabic",
            "sv:swedish",
            "it:italian",
            "id:indonesian",
            "hi:hindi",
            "fi:finnish",
            "vi:vietnamese",
            "he:hebrew",
            "uk:ukrainian",
            "el:greek",
            "ms:malay",
            "cs:czech",
            "ro:romanian",
            "da:danish",
            "hu:hungarian",
            "ta:tamil",
            "no:norwegian",
            "th:thai",
            "ur:urdu",
            "hr:croatian",
            "bg:bulgarian",
            "lt:lithuanian",
            "la:latin",
            "mi:maori",
            "ml:malayalam",
            "cy:welsh",
            "sk:slovak",
            "te:telugu",
            "fa:persian",
            "lv:latvian",
            "bn:bengali",
            "sr:serbian",
            "az:azerbaijani",
            "sl:slovenian",
            "kn:kannada",
            "et:estonian",
            "mk:macedonian",
            "br:breton",
            "eu:basque",
            "is:icelandic",
            "hy:armenian",
            "ne:nepali",
            "mn:mongolian",
            "bs:bosnian",
            "kk:kazakh",
            "sq:albanian",
            "sw:swahili",
            "gl:galician",
            "mr:marathi",
            "pa:punjabi",
            "si:sinhala",
            "km:khmer",
            "sn:shona",
            "yo:yoruba",
            "so:somali",
            "af:afrikaans",
            "oc:occitan",
            "ka:georgian",
            "be:belarusian",
            "tg:tajik",
            "sd:sindhi",
            "gu:gujarati",
            "am:amharic",
            "yi:yiddish",
            "lo:lao",
            "uz:uzbek",
            "fo:faroese",
            "ht:haitian_creole",
            "ps:pashto",
            "tk:turkmen",
            "nn:nynorsk",
            "mt:maltese",
            "sa:sanskrit",
            "lb:luxembourgish",
            "my:myanmar",
            "bo:tibetan",
            "tl:tagalog",
            "mg:malagasy",
            "as:assamese",
            "tt:tatar",
            "haw:hawaiian",
            "ln:lingala",
            "ha:hausa",
            "ba:bashkir",
            "jw:javanese",
            "su:sundanese",
            "yue:cantonese",
        ]
    )
}
"""Whisper's languages by their codes; a copy, so that a server that only asks for names need not load Whisper."""

OTHER_NAMES = {
    **{"burmese": "my", "valencian": "ca", "flemish": "nl", "haitian": "ht", "letzeburgesch": "lb", "pushto": "ps"},
    **{"panjabi": "pa", "moldavian": "ro", "moldovan": "ro", "sinhalese": "si", "castilian": "es", "mandarin": "zh"},
}
"""Whisper's second names for some of them."""

CODES = {name: code for code, name in LANGUAGES.items()} | OTHER_NAMES

DETECT = ("", "auto", "multi", "detect", "unknown")
"""What stands for "find out" in the place of a language."""

OTHER_CODES = {"iw": "he", "in": "id", "ji": "yi", "jv": "jw", "nb": "no", "fil": "tl", "cmn": "zh", "hbs": "sr"}
"""Codes of today and of yesterday for languages that Whisper knows by another one."""


def language_name(code: str) -> str:
    """The English name of an ISO 639-1 code, as openai-whisper writes it ("tr": "turkish"); "" stays ""."""
    return LANGUAGES.get(code, code)


def language_code(tag: str | None) -> str | None:
    """The code that Whisper has for a language, whichever way it is written; None: it is to be detected.

    Args:
        tag: ISO 639-1 (`en`), BCP 47 (`en-US`, `zh-Hans`, `pt_BR`), an English name (`english`), or a word such as
            `auto` or `multi`; upper and lower case are the same.

    Raises:
        OpenmicError: ``unknown_language``.
    """
    written = (tag or "").strip().lower()
    if written in DETECT:
        return None
    if written in CODES:
        return CODES[written]
    parts = re.split(r"[-_]", written)
    for part in [parts[1], parts[0]] if parts[0] == "zh" and len(parts) > 1 else parts[:1]:  # zh-yue is Cantonese
        code = OTHER_CODES.get(part, part)
        if code in LANGUAGES and (part == parts[0] or part == "yue"):
            return code
    raise PROBLEMS.error("unknown_language", language=tag)


def language_codes() -> list[str]:
    """The ISO 639-1 codes of all languages that Whisper knows."""
    return list(LANGUAGES)
