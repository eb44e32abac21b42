"""What Whisper writes where nobody speaks: the ends of films and videos, which it learned from their captions.

It writes them for coughs, breath and applause, mostly one phrase and nothing else; for a hum, one letter. That a text
is such a phrase tells nothing yet, for people do say "Thank you."; it is a reason to ask for more of the sound (the
idea of a "bag of hallucinations"; Baranski et al., "Investigation of Whisper ASR Hallucinations Induced by Non-Speech
Audio", 2025).
"""

from __future__ import annotations

import functools

from openmic.folding import fold_letters

LEAST_PROBABILITY = 0.3  # of the first word: of phrases that were said it is over 0.6, for coughs under 0.15
LEAST_LETTERS = 4  # of the beginning of a phrase: most sentences begin as some phrase does

STOCK_PHRASES: dict[str, tuple[str, ...]] = {
    "ar": ("شكرا", "شكرا لكم", "اشتركوا في القناة", "ترجمة نانسي قنقر", "شكرا على المشاهدة"),
    "cs": ("Děkuji.", "Děkuju.", "Titulky vytvořil JohnyX.", "Děkujeme za pozornost."),
    "de": (
        "Vielen Dank.",
        "Danke.",
        "Tschüss.",
        "Vielen Dank fürs Zuschauen.",
        "Untertitel der Amara.org-Community",
        "Untertitel im Auftrag des ZDF für funk, 2017",
        "Untertitelung des ZDF, 2020",
        "Untertitelung aufgrund der Amara.org-Community",
        "Copyright WDR 2021",
    ),
    "el": ("Ευχαριστώ.", "Υπότιτλοι AUTHORWAVE"),
    "en": (
        "Thank you.",
        "Thank you very much.",
        "Thank you so much.",
        "Thanks.",
        "Thanks for watching.",
        "Thank you for watching.",
        "Thank you so much for watching.",
        "Thanks for listening.",
        "Please subscribe.",
        "Please subscribe to my channel.",
        "Don't forget to like and subscribe.",
        "See you next time.",
        "See you in the next video.",
        "I'll see you in the next video.",
        "Subtitles by the Amara.org community",
        "Transcription by CastingWords",
        "Good night.",
        "Bye.",
        "Bye-bye.",
        "You",
    ),
    "es": (
        "Gracias.",
        "Muchas gracias.",
        "Gracias por ver el video.",
        "Gracias por ver.",
        "Suscríbete.",
        "Suscríbete al canal.",
        "Subtítulos realizados por la comunidad de Amara.org",
        "Subtítulos por la comunidad de Amara.org",
    ),
    "fr": (
        "Merci.",
        "Merci d'avoir regardé cette vidéo.",
        "Merci d'avoir regardé.",
        "Abonnez-vous.",
        "Sous-titres réalisés par la communauté d'Amara.org",
        "Sous-titres réalisés para la communauté d'Amara.org",
        "Sous-titrage Société Radio-Canada",
        "Sous-titrage ST' 501",
    ),
    "hu": ("Köszönöm.", "Köszönöm, hogy megnézted.", "Köszönjük, hogy megnézte."),
    "it": (
        "Grazie.",
        "Grazie per la visione.",
        "Grazie a tutti.",
        "Sottotitoli creati dalla comunità Amara.org",
        "Sottotitoli e revisione a cura di QTSS",
    ),
    "ja": (
        "ご視聴ありがとうございました",
        "ご視聴ありがとうございます",
        "最後までご視聴ありがとうございました",
        "チャンネル登録お願いします",
        "ありがとうございました",
    ),
    "ko": (
        "감사합니다",
        "시청해주셔서 감사합니다",
        "시청해 주셔서 감사합니다",
        "구독과 좋아요 부탁드립니다",
        "다음 영상에서 만나요",
        "MBC 뉴스 이덕영입니다",
    ),
    "nl": ("Dank u wel.", "Bedankt.", "Bedankt voor het kijken.", "Ondertiteld door de Amara.org gemeenschap"),
    "pl": ("Dziękuję.", "Dziękuję za oglądanie.", "Dziękuję za uwagę.", "Napisy stworzone przez społeczność Amara.org"),
    "pt": (
        "Obrigado.",
        "Obrigada.",
        "Obrigado por assistir.",
        "Inscreva-se no canal.",
        "Legendas pela comunidade Amara.org",
        "Legendado pela comunidade Amara.org",
    ),
    "ru": (
        "Спасибо.",
        "Спасибо за просмотр.",
        "Продолжение следует...",
        "Субтитры сделал DimaTorzok",
        "Субтитры создавал DimaTorzok",
        "Подписывайтесь на канал.",
        "Редактор субтитров А.Синецкая Корректор А.Егорова",
    ),
    "sv": ("Tack.", "Tack för att ni tittade.", "Textning Stina Hedin www.btistudios.com"),
    "tr": (
        "Teşekkürler.",
        "Teşekkür ederim.",
        "Altyazı M.K.",
        "Altyazı",
        "İzlediğiniz için teşekkürler.",
        "İzlediğiniz için teşekkür ederim.",
        "İzlediğiniz için teşekkür ederiz.",
        "Abone olmayı unutmayın.",
        "Kanalıma abone olmayı unutmayın.",
        "Görüşmek üzere.",
        "Hoşça kalın.",
    ),
    "uk": ("Дякую.", "Дякую за перегляд.", "Субтитрувальниця"),
    "vi": ("Cảm ơn các bạn đã theo dõi.", "Hãy subscribe cho kênh Ghiền Mì Gõ"),
    "zh": (
        "谢谢",
        "谢谢观看",
        "謝謝觀看",
        "谢谢大家",
        "字幕由Amara.org社区提供",
        "中文字幕由Amara.org社区提供",
        "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
        "請不吝點贊 訂閱 轉發 打賞支持明鏡與點點欄目",
    ),
}
"""By the code of the language; a language that is not here has those of English alone."""


def is_invented(text: str, probability: float, language: str | None, *, grows: bool = False) -> bool:
    """Whether a text is a stock phrase that the model did not hear begin.

    Args:
        text: of an utterance or of a segment.
        probability: of its first word, 0..1. The other words follow from it.
        language: its code; None: not known.
        grows: more of it may come: the first words of a phrase count, too.
    """
    return probability < LEAST_PROBABILITY and is_stock(text, language, grows=grows)


def is_stock(text: str, language: str | None, *, grows: bool = False) -> bool:
    """Whether a text is nothing but stock phrases, or one Latin letter over and over ("B-b-b").

    English phrases count in every language. A Chinese character or a figure that is repeated is a word.

    Args:
        text: any.
        language: its code; None: not known.
        grows: its end may be the beginning of a phrase, of ``LEAST_LETTERS`` or more.
    """
    rest = fold_letters(text, language)
    if len(rest) > 1 and len(set(rest)) == 1 and rest.isascii() and rest.isalpha():
        return True
    phrases, found = _longest_first(language), False
    while rest:
        if grows and len(rest) >= LEAST_LETTERS and any(phrase.startswith(rest) for phrase in phrases):
            return True
        phrase = next((phrase for phrase in phrases if rest.startswith(phrase)), None)
        if phrase is None:
            return False
        rest, found = rest.removeprefix(phrase), True
    return found


@functools.cache
def _longest_first(language: str | None) -> tuple[str, ...]:
    phrases = {*STOCK_PHRASES.get(language or "", ()), *STOCK_PHRASES["en"]}
    return tuple(
        sorted({fold_letters(phrase, language) for phrase in phrases}, key=lambda phrase: (-len(phrase), phrase))
    )
