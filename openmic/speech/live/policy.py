"""The live policy of one stream: which audio to look at, what to show, what to promise.

Words are shown as soon as a hypothesis has them. They are committed when two consecutive hypotheses agree on them
(LocalAgreement-2; Machacek et al., "Turning Whisper into Real-Time Transcription System", 2023) and their attention
does not point at the last moments of the audio, where the next samples may still change them (the idea of AlignAtt;
Papi et al., 2023). At an endpoint everything is committed. No torch here: hypotheses come in, text comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from openmic.audio.types import SAMPLE_RATE
from openmic.folding import fold_letters
from openmic.speech.live.hypothesis import Hypothesis, TimedWord
from openmic.speech.model.units import LOGPROB_THRESHOLD, NO_SPEECH_THRESHOLD
from openmic.speech.stock_phrases import LEAST_PROBABILITY, is_invented

GUARD_SECONDS = 0.3  # words that end closer than this to the end of the audio are not committed yet
EDGE_SECONDS = 0.12  # a word that ends closer than this to the end of the audio may be cut in its middle:
SURE = 0.9  # it is not even shown, unless the model is as sure as this
UNSURE = 0.6  # and a word less probable than this, with all behind it, is shown only once it ended UNSURE_SECONDS ago:
UNSURE_SECONDS = 1.0  # what comes next often makes another word of it, most of all where words are long
CONTEXT_TOKENS = 100  # committed text before the window that is fed as a prompt
KEEP_SECONDS = 2.0  # committed audio kept in front of the unstable words when the window slides
SLIDE_SECONDS = 8.0  # a window longer than this slides as soon as it can
STALL_SECONDS = 2.0  # of speech after which nothing is heard: the committed words in the window are in the way
FASTEST = 8.0  # words a second, and BURST_WORDS: more than nobody says, so they were copied from the prompt
BURST_WORDS = 6
COPIED_WORDS = 4  # in a row, or 2 and all, that the prompt has, too: they may be read off from it,
MOST_NO_SPEECH_PROBABILITY = 0.2  # and are if nobody seems to speak: while somebody does, it is mostly below this
UNREAD_SECONDS = 1.0  # at the end of a full window, behind which more waits: it is read with what follows
PATIENCE_SECONDS = 5.0  # words that are older than this are committed even if hypotheses never agree on them


@dataclass(frozen=True, slots=True)
class PolicyUpdate:
    """What a step changed.

    Attributes:
        committed: new words that stay.
        live: the unstable words after them that can be shown.
        again: nothing; the window is to be decoded again, without its prompt.
    """

    committed: tuple[TimedWord, ...]
    live: tuple[TimedWord, ...]
    again: bool = False


@dataclass(slots=True)
class CommitPolicy:
    """One stream's window and words.

    Attributes:
        window_start: first sample of the window.
        context: tokens committed before the window, the newest last.
        prefix: words committed inside the window.
        previous: the last hypothesis' words after the prefix.
        language: detected or given; None until known.
        copied: a hypothesis of this utterance was a copy of its prompt: it is decoded without one.
    """

    window_start: int = 0
    context: list[int] = field(default_factory=list)
    prefix: list[TimedWord] = field(default_factory=list)
    previous: tuple[TimedWord, ...] = ()
    language: str | None = None
    copied: bool = False

    def prefix_tokens(self) -> tuple[int, ...]:
        """Tokens of the words committed inside the window."""
        return tuple(token for word in self.prefix for token in word.tokens)

    def draft_tokens(self) -> tuple[int, ...]:
        """Tokens that the last hypothesis had after them."""
        return tuple(token for word in self.previous for token in word.tokens)

    def update(self, hypothesis: Hypothesis, audio_end: int, endpoint: bool, behind: bool = False) -> PolicyUpdate:
        """Take in a hypothesis of the window up to sample ``audio_end``.

        Args:
            hypothesis: the words after the prefix.
            audio_end: sample at which the window ended.
            endpoint: speech has ended: commit everything and start again after ``audio_end``.
            behind: more audio waits than one window holds: commit without a second hypothesis.
        """
        end = audio_end / SAMPLE_RATE
        words = () if _is_silence(hypothesis) or self._is_unheard(hypothesis) else hypothesis.words
        if words and self._is_copy(hypothesis):
            self.context.clear()
            self.copied, self.previous = True, ()  # which began it
            return PolicyUpdate((), (), again=True)
        if len(words) > self._most_words(end):
            self.context.clear()
            self.copied = True
            words = self.previous
            if not endpoint and not behind:
                return PolicyUpdate((), _shown(words, end))
        if endpoint:
            committed = words
        elif behind:
            committed = tuple(word for word in words if word.end < end - UNREAD_SECONDS) or words[:-1]
        else:
            committed = self._stable(words, end, hypothesis.language)
        words = words[len(committed) :]
        if committed and committed[-1].mark and not words and not endpoint:
            *before, last = committed
            word, mark = last.parted()  # a committed full stop would tell the decoder that nothing follows
            committed, words = (*before, word), (mark,)
        self.previous = words
        self.prefix.extend(committed)
        start = self.window_start
        if endpoint:
            self._restart(audio_end)
        else:
            self._slide(audio_end)
        if behind and self.window_start == start:
            self._leave(audio_end)
        return PolicyUpdate(committed, _shown(self.previous, end))

    def commit_all(self, audio_end: int) -> PolicyUpdate:
        """Speech ended at ``audio_end`` and the last hypothesis has seen all of it: commit its words."""
        committed = self.previous
        self.prefix.extend(committed)
        self._restart(audio_end)
        return PolicyUpdate(committed, ())

    def go_on(self, words: Sequence[TimedWord]) -> None:
        """Begin behind ``words``, committed by another run of this policy; the last of them stay in the window."""
        kept = [word for word in words if word.end > words[-1].end - KEEP_SECONDS]
        before = words[: len(words) - len(kept)]
        self._remember(before)
        self.prefix = kept
        start = (before[-1].end + kept[0].start) / 2 if before else kept[0].start
        self.window_start = round(start * SAMPLE_RATE)

    def change_language(self, language: str) -> None:
        """From now on ``language`` is spoken: what was said in another one would only mislead as a prompt."""
        if self.language is not None:
            self.context.clear()
        self.language = language

    def skip_to(self, sample: int) -> None:
        """Speech begins again at ``sample``; what lies before it is silence."""
        if not self.prefix and not self.previous:
            self.window_start = max(self.window_start, sample)

    def _is_copy(self, hypothesis: Hypothesis) -> bool:
        """Whether what was heard stands in the prompt word for word, and nobody seems to speak."""
        if hypothesis.no_speech_prob <= MOST_NO_SPEECH_PROBABILITY:
            return False
        said, known = hypothesis.words, _spelled(self.context)
        size = max(2, min(COPIED_WORDS, len(said)))
        runs = (said[place : place + size] for place in range(len(said) - size + 1))
        return any(_spelled(_without_last_mark(run)) in known for run in runs)

    def _is_unheard(self, hypothesis: Hypothesis) -> bool:
        """Whether an utterance begins with words that the model writes without having heard them: a hum, a cough."""
        words = hypothesis.words
        if self.prefix or not words:
            return False
        begin = words[0].probability
        doubted = hypothesis.avg_logprob < LOGPROB_THRESHOLD and begin < LEAST_PROBABILITY
        if doubted and hypothesis.no_speech_prob > MOST_NO_SPEECH_PROBABILITY:
            return True
        return is_invented("".join(word.text for word in words), begin, hypothesis.language, grows=True)

    def _most_words(self, end: float) -> float:
        """How many words can have been said after the prefix, up to ``end`` seconds."""
        begin = self.prefix[-1].end if self.prefix else self.window_start / SAMPLE_RATE
        return BURST_WORDS + FASTEST * max(0.0, end - begin)

    def _stable(self, words: Sequence[TimedWord], end: float, language: str) -> tuple[TimedWord, ...]:
        agreed = 0
        for new, old in zip(words, self.previous, strict=False):
            if fold_letters(new.text, language) != fold_letters(old.text, language):
                break
            agreed += 1
        count = 0
        for place, word in enumerate(words):
            old_enough = word.end < end - PATIENCE_SECONDS
            certain = place < agreed or old_enough
            if word.end > end - GUARD_SECONDS or not certain or not _is_spoken(word):
                break
            count += 1
        return tuple(words[:count])

    def _restart(self, audio_end: int) -> None:
        self._remember(self.prefix)
        self.prefix = []
        self.previous = ()
        self.copied = False
        self.window_start = audio_end

    def _leave(self, audio_end: int) -> None:
        """Go on behind the last word of a full window: nothing more is heard in it, and nothing more has room.

        Else it would be looked at for ever.
        """
        last = self.prefix[-1].end if self.prefix else 0.0
        unread = min(round(UNREAD_SECONDS * SAMPLE_RATE), (audio_end - self.window_start) // 2)
        self._restart(max(audio_end - unread, min(audio_end, round(last * SAMPLE_RATE))))

    def _slide(self, audio_end: int) -> None:
        """Move a long window to a pause between committed words, or behind them if nothing is heard after them."""
        last = self.prefix[-1].end if self.prefix else 0.0
        if (
            last
            and not any(_is_spoken(word) for word in self.previous)
            and audio_end / SAMPLE_RATE - last > STALL_SECONDS
        ):
            self._restart(round(last * SAMPLE_RATE))
            self.context.clear()  # as a prompt the same words are in the way as well
            self.copied = True  # and so may what stands before them
            return
        if audio_end - self.window_start <= SLIDE_SECONDS * SAMPLE_RATE:
            return
        latest = (self.previous[0].start if self.previous else audio_end / SAMPLE_RATE) - KEEP_SECONDS
        cuts = [
            (self.prefix[i + 1].start - word.end, i)
            for i, word in enumerate(self.prefix[:-1])
            if word.end <= latest and word.end * SAMPLE_RATE > self.window_start
        ]
        if not cuts:
            return
        half = (self.window_start / SAMPLE_RATE + latest) / 2
        late = [cut for cut in cuts if self.prefix[cut[1]].end >= half] or cuts
        _, place = max(late)
        before, self.prefix = self.prefix[: place + 1], self.prefix[place + 1 :]
        self._remember(before)
        self.window_start = round((before[-1].end + self.prefix[0].start) / 2 * SAMPLE_RATE)

    def _remember(self, words: Sequence[TimedWord]) -> None:
        self.context.extend(token for word in words for token in word.tokens)
        del self.context[:-CONTEXT_TOKENS]


def _shown(words: Sequence[TimedWord], end: float) -> tuple[TimedWord, ...]:
    """The words up to the first that the end of the audio may have cut, or that is improbable and new."""

    def is_shown(word: TimedWord) -> bool:
        age = end - word.end
        whole = age >= EDGE_SECONDS or word.probability > SURE
        return whole and (word.probability >= UNSURE or age >= UNSURE_SECONDS)

    return tuple(takewhile(is_shown, words))


def _is_spoken(word: TimedWord) -> bool:
    return any(letter.isalnum() for letter in word.text)


def _without_last_mark(words: Sequence[TimedWord]) -> list[int]:
    tokens = [token for word in words for token in word.tokens]
    return tokens[: len(tokens) - words[-1].mark_tokens]


def _spelled(tokens: Sequence[int]) -> str:
    """Tokens as one text, in which a run of others can be found."""
    return "," + "".join(f"{token}," for token in tokens)


def _is_silence(hypothesis: Hypothesis) -> bool:
    return hypothesis.no_speech_prob > NO_SPEECH_THRESHOLD and hypothesis.avg_logprob < LOGPROB_THRESHOLD
