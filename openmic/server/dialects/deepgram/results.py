"""From commits, live text and ends of utterances to v1's results.

openmic commits a word or two at a time; a client of Deepgram takes each final result for a stretch of speech. So
commits are gathered until their utterance is over, a sentence ends, or ``GATHER_SECONDS`` of speech are there; until
then they stand in the interim results, which take none of them back. Stretches tile the clock: each begins where the
final one before it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from openmic.server.dialects.deepgram.messages import alternative, model_info, model_uuid
from openmic.server.dialects.vendor import Json
from openmic.sessions.types import CommittedText, LiveText, UtteranceOver, Word

GATHER_SECONDS = 3.0  # of speech, after which a final result does not wait for its sentence's end
SENTENCE_ENDS = tuple(".?!…。？！")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client wants to hear of.

    Attributes:
        interim: results that may still change.
        speech_final: ends of utterances by silence.
        speech_started: starts of speech.
        utterance_end_seconds: silence behind an utterance's last word that is told; None: never.
        languages: the language of each result.
    """

    interim: bool = False
    speech_final: bool = True
    speech_started: bool = False
    utterance_end_seconds: float | None = None
    languages: bool = False


class Results:
    """The results of one stream.

    Args:
        wishes: of the client.
        request_id: stands in each result.
        model: the name of the one that runs here.
    """

    def __init__(self, wishes: Wishes, request_id: str, model: str) -> None:
        self._wishes = wishes
        self._metadata: Json = {
            "request_id": request_id,
            "model_info": model_info(model),
            "model_uuid": model_uuid(model),
        }
        self._cursor = 0.0  # where the last final result ended
        self._gathered: list[Word] = []
        self._shown = False  # an interim result with words
        self._over_told = False  # nothing was said since the last end of an utterance was told
        self._last_word_end = 0.0
        self._language: str | None = None
        self._due: float | None = None  # when UtteranceEnd is, in seconds of audio
        self._due_at: float | None = None  # the same on the event loop's clock

    def show(self, live: LiveText) -> Iterator[Json]:
        """Live text as an interim result."""
        self._language = live.language or self._language
        words = [*self._gathered, *live.words]
        if self._wishes.interim and (words or self._shown):
            self._shown = bool(words)
            yield self._result(words, live.audio_seconds, final=False)

    def commit(self, committed: CommittedText) -> Iterator[Json]:
        """Gather a commit; a final result where enough is there."""
        self._language = committed.language or self._language
        self._gathered += committed.words
        self._last_word_end = committed.end
        self._over_told = False
        gathered = self._gathered
        if gathered[-1].word.endswith(SENTENCE_ENDS) or gathered[-1].end - gathered[0].start >= GATHER_SECONDS:
            yield self._final(committed.end)

    def end_utterance(self, over: UtteranceOver) -> Iterator[Json]:
        """The final result behind which nothing of the utterance comes; a flush is always answered, by exactly one."""
        flushed = over.cause == "flush"
        if flushed or (self._wishes.speech_final and not self._over_told):
            yield self._final(over.end, speech_final=True, from_finalize=flushed)
            self._over_told = True
            self._expect_silence()
        elif self._gathered:
            yield self._final(over.end)

    def rest(self) -> Iterator[Json]:
        """What is gathered when the stream ends."""
        if self._gathered:
            yield self._final(self._gathered[-1].end)

    def start_speech(self, at: float) -> Iterator[Json]:
        """Speech began; an end of the utterance before it is told only where the pause was long enough."""
        if self._due is not None and at >= self._due:
            yield self._utterance_end()
        self._due = self._due_at = None
        if self._wishes.speech_started:
            yield {"type": "SpeechStarted", "channel": [0, 1], "timestamp": round(at, 3)}

    def hear(self, seconds: float | None) -> Iterator[Json]:
        """So much audio has come; None: nobody knows, and the clock on the wall stands for it."""
        if self._due is None or self._due_at is None:
            return
        if (seconds >= self._due) if seconds is not None else asyncio.get_running_loop().time() >= self._due_at:
            yield self._utterance_end()

    def _expect_silence(self) -> None:
        seconds = self._wishes.utterance_end_seconds
        if seconds is not None and self._last_word_end > 0:
            self._due = self._last_word_end + seconds
            self._due_at = asyncio.get_running_loop().time() + seconds

    def _utterance_end(self) -> Json:
        self._due = self._due_at = None
        return {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": round(self._last_word_end, 3)}

    def _final(self, end: float, *, speech_final: bool = False, from_finalize: bool = False) -> Json:
        words, self._gathered = self._gathered, []
        self._shown = False
        result = self._result(words, end, final=True, speech_final=speech_final, from_finalize=from_finalize)
        self._cursor = max(self._cursor, end)
        return result

    def _result(
        self, words: list[Word], end: float, *, final: bool, speech_final: bool = False, from_finalize: bool = False
    ) -> Json:
        languages = {"languages": [self._language]} if self._wishes.languages and self._language else {}
        return {
            "type": "Results",
            "channel_index": [0, 1],
            "start": round(self._cursor, 3),
            "duration": round(max(0.0, end - self._cursor), 3),
            "is_final": final,
            "speech_final": speech_final,
            "from_finalize": from_finalize,
            "channel": {"alternatives": [alternative(words, **languages)]},
            "metadata": self._metadata,
        }
