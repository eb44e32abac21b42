"""The utterances of one stream: where they begin and end, and the flushes among them.

Speech boundaries and flushes are told while live steps may be behind; they wait here until the steps have come so far.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from openmic.audio.types import SAMPLE_RATE, SpeechBoundary
from openmic.speech.types import UtteranceOver


class Utterances:
    """Everything but ``flush`` belongs to the engine's thread.

    Args:
        send: told of each end of speech and of each flush, behind the words before it.

    Attributes:
        speaking: inside an utterance; other threads read it, so it is set once the stream is ready for that.
    """

    def __init__(self, send: Callable[[UtteranceOver], None]) -> None:
        self.speaking = False
        self._send = send
        self._boundaries = deque[SpeechBoundary]()
        self._flushes = deque[int]()  # at how many samples each was asked for

    @property
    def silent(self) -> bool:
        """Nobody speaks, and no boundary waits."""
        return not self.speaking and not self._boundaries

    def flush(self, sample: int) -> None:
        """All that was said up to ``sample`` is to count as an ended utterance."""
        self._flushes.append(sample)

    def add(self, boundary: SpeechBoundary) -> None:
        """Speech begins or ends there."""
        self._boundaries.append(boundary)

    def next_begin(self) -> int | None:
        """Go on to the next beginning of speech, and give its sample; None: there is none yet."""
        while self._boundaries:
            boundary = self._boundaries.popleft()
            if boundary.state == "started":
                return round(boundary.at * SAMPLE_RATE)
        return None

    def endpoint(self, length: int, finished: bool) -> int | None:
        """The sample at which the utterance ends or is flushed; None: not within the ``length`` samples so far."""
        ended = next((round(b.at * SAMPLE_RATE) for b in self._boundaries if b.state == "ended"), None)
        if ended is None and finished:
            ended = length
        marks = [mark for mark in (ended, next(iter(self._flushes), None)) if mark is not None]
        return min(*marks, length) if marks else None

    def end(self, sample: int, finished: bool) -> bool:
        """All words up to an endpoint are told: tell of what ends there.

        Returns:
            Whether the utterance is over: one that was flushed in the middle of speech goes on.
        """
        if self.answer_flushes(sample):
            if self._boundaries and round(self._boundaries[0].at * SAMPLE_RATE) > sample:
                return False
            if not self._boundaries and not finished:
                return False
        self.speaking = False
        if self._boundaries and self._boundaries[0].state == "ended":
            self._over(self._boundaries.popleft())
        return True

    def answer_flushes(self, sample: int) -> bool:
        """Answer the flushes up to ``sample``; returns whether there were any."""
        due = [self._flushes.popleft() for flush in tuple(self._flushes) if flush <= sample]
        for flush in due:
            self._send(UtteranceOver(flush / SAMPLE_RATE, "flush"))
        return bool(due)

    def pass_over(self, ended: SpeechBoundary) -> None:
        """The words of the utterance that ended there were told before this stream was opened."""
        self._boundaries.clear()
        self.speaking = False
        self._over(ended)

    def give_up(self) -> None:
        """What was told so far will not be decoded: tell of what ended, and go on behind it."""
        ends = [boundary for boundary in self._boundaries if boundary.state == "ended"]
        self._boundaries.clear()
        self.speaking = False
        for ended in ends:
            self.answer_flushes(round(ended.at * SAMPLE_RATE))
            self._over(ended)

    def _over(self, ended: SpeechBoundary) -> None:
        self._send(UtteranceOver(ended.at, "stop" if ended.cut else "silence"))
