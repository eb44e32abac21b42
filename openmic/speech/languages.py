"""Whisper's languages by name, and by the tags that other programs use for them."""

from __future__ import annotations

import functools
import re

from openmic.folding import fold
from openmic.speech.problems import PROBLEMS

SHOWN_LETTERS = 40  # of a language that is not known, in the error

NAMES = """
    en english | zh chinese | de german | es spanish | ru russian | ko korean | fr french | ja japanese | pt
    portuguese | tr turkish | pl polish | ca catalan | nl dutch | ar arabic | sv swedish | it italian | id
    indonesian | hi hindi | fi finnish | vi vietnamese | he hebrew | uk ukrainian | el greek | ms malay | cs czech |
    ro romanian | da danish | hu hungarian | ta tamil | no norwegian | th thai | ur urdu | hr croatian | bg
    bulgarian | lt lithuanian | la latin | mi maori | ml malayalam | cy welsh | sk slovak | te telugu | fa persian |
    lv latvian | bn bengali | sr serbian | az azerbaijani | sl slovenian | kn kannada | et estonian | mk macedonian
    | br breton | eu basque | is icelandic | hy armenian | ne nepali | mn mongolian | bs bosnian | kk kazakh | sq
    albanian | sw swahili | gl galician | mr marathi | pa punjabi | si sinhala | km khmer | sn shona | yo yoruba |
    so somali | af afrikaans | oc occitan | ka georgian | be belarusian | tg tajik | sd sindhi | gu gujarati | am
    amharic | yi yiddish | lo lao | uz uzbek | fo faroese | ht haitian creole | ps pashto | tk turkmen | nn nynorsk
    | mt maltese | sa sanskrit | lb luxembourgish | my myanmar | bo tibetan | tl tagalog | mg malagasy | as assamese
    | tt tatar | haw hawaiian | ln lingala | ha hausa | ba bashkir | jw javanese | su sundanese | yue cantonese
"""
LANGUAGES = {code: " ".join(name) for code, *name in (entry.split() for entry in NAMES.split("|"))}
"""Whisper's languages by their codes, in its order; a test compares them. So names can be asked for without torch."""

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

OWN_NAMES = """
    af afrikaans | am አማርኛ | ar العربية | as অসমীয়া | az azərbaycanca azərbaycan | ba башҡортса | be беларуская
    | bg български | bn বাংলা | bo བོད་སྐད་ | br brezhoneg | bs bosanski | ca català | cs čeština česky | cy
    cymraeg | da dansk | de deutsch | el ελληνικά | en english | es español castellano | et eesti | eu euskara |
    fa فارسی | fi suomi | fo føroyskt | fr français | gl galego | gu ગુજરાતી | ha hausa | haw ʻōlelo_hawaiʻi |
    he עברית | hi हिन्दी | hr hrvatski | ht kreyòl_ayisyen | hu magyar | hy հայերեն | id bahasa_indonesia | is
    íslenska | it italiano | ja 日本語 | jw basa_jawa | ka ქართული | kk қазақша | km ខ្មែរ | kn ಕನ್ನಡ | ko 한국어 | la
    latina | lb lëtzebuergesch | ln lingála | lo ລາວ | lt lietuvių | lv latviešu | mg malagasy | mi te_reo_māori
    | mk македонски | ml മലയാളം | mn монгол | mr मराठी | ms bahasa_melayu | mt malti | my မြန်မာ | ne नेपाली |
    nl nederlands | nn nynorsk norsk_nynorsk | no norsk bokmål norsk_bokmål | oc occitan | pa ਪੰਜਾਬੀ | pl polski
    | ps پښتو | pt português | ro română | ru русский | sa संस्कृतम् | sd سنڌي | si සිංහල | sk slovenčina | sl
    slovenščina | sn chishona | so soomaali | sq shqip | sr српски srpski | su basa_sunda | sv svenska | sw
    kiswahili | ta தமிழ் | te తెలుగు | tg тоҷикӣ | th ไทย | tk türkmençe | tl wikang_tagalog | tr türkçe | tt
    татарча | uk українська | ur اردو | uz oʻzbekcha o'zbekcha | vi tiếng_việt | yi ייִדיש | yo yorùbá | yue 粵語
    粤语 廣東話 广东话 | zh 中文 汉语 漢語 普通话
"""
"""Each language's code, and behind it what its speakers call it, spaces written as ``_``."""


def language_name(code: str) -> str:
    """The English name of an ISO 639-1 code, as openai-whisper writes it ("tr": "turkish"); "" stays ""."""
    return LANGUAGES.get(code, code)


def language_code(tag: str | None) -> str | None:
    """The code that Whisper has for a language, whichever way it is written; None: it is to be detected.

    Args:
        tag: ISO 639-1 (`en`), BCP 47 (`en-US`, `zh-Hans`, `pt_BR`), a name in English or in the language itself
            (`Turkish`, `Türkçe`), or a word such as `auto` or `multi`; upper and lower case are the same.

    Raises:
        OpenmicError: ``unknown_language``.
    """
    written = fold((tag or "").strip())
    if written in DETECT:
        return None
    named = CODES.get(written) or _own_names().get(written)
    if named is not None:
        return str(named)
    parts = re.split(r"[-_]", written)
    for part in [parts[1], parts[0]] if parts[0] == "zh" and len(parts) > 1 else parts[:1]:  # zh-yue is Cantonese
        code = OTHER_CODES.get(part, part)
        if code in LANGUAGES and (part == parts[0] or part == "yue"):
            return code
    raise PROBLEMS.error("unknown_language", language=tag, known=", ".join(LANGUAGES))


@functools.cache
def _own_names() -> dict[str, str]:
    entries = [entry.split() for entry in OWN_NAMES.split("|")]
    return {fold(name.replace("_", " ")): code for code, *names in entries for name in names}
