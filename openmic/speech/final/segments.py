"""A window's tokens cut into segments, as openai-whisper cuts them, and what becomes of a segment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from whisper.audio import FRAMES_PER_SECOND
from whisper.timing import WordTiming
from whisper.tokenizer import Tokenizer

from openmic.speech.final.decode import WindowResult
from openmic.speech.model.units import MEL_FRAMES_PER_STATE, STATE_SECONDS
from openmic.speech.types import Segment, Word


@dataclass(frozen=True, slots=True)
class Cut:
    """A window in segments.

    Attributes:
        segments: with the fields of openai-whisper's, words not yet among them; their tokens, one after another, are
            the window's first ones.
        single_ending: one timestamp alone ends the window: no speech follows in it.
        advance: mel frames that the walk may move on.
    """

    segments: list[dict[str, Any]]
    single_ending: bool
    advance: int


def cut(result: WindowResult, tokenizer: Tokenizer, seek: int, size: int) -> Cut:
    """Cut a window at its timestamps.

    Args:
        result: what was said in it.
        tokenizer: of its language and task.
        seek: mel frame at which it begins.
        size: mel frames of audio in it.
    """
    tokens, begin = result.tokens, tokenizer.timestamp_begin
    stamps = [token >= begin for token in tokens]
    single_ending = stamps[-2:] == [False, True]
    cuts = [i for i in range(1, len(tokens)) if stamps[i] and stamps[i - 1]]
    offset = seek / FRAMES_PER_SECOND

    def segment(start: float, end: float, part: Sequence[int]) -> dict[str, Any]:
        return {
            "seek": seek,
            "start": offset + start,
            "end": offset + end,
            "text": tokenizer.decode([token for token in part if token < tokenizer.eot]),
            "tokens": list(part),
            "temperature": result.temperature,
            "avg_logprob": result.avg_logprob,
            "compression_ratio": result.compression_ratio,
            "no_speech_prob": result.no_speech_prob,
        }

    if not cuts:
        last = next((token for token in reversed(tokens) if token >= begin), begin)
        seconds = (last - begin) * STATE_SECONDS if last > begin else size / FRAMES_PER_SECOND
        return Cut([segment(0.0, seconds, tokens)], single_ending, size)
    if single_ending:
        cuts.append(len(tokens))
    segments, start = [], 0
    for place in cuts:
        part = tokens[start:place]
        first, last = (part[0] - begin) * STATE_SECONDS, (part[-1] - begin) * STATE_SECONDS
        segments.append(segment(first, last, part))
        start = place
    return Cut(segments, single_ending, size if single_ending else (tokens[start - 1] - begin) * MEL_FRAMES_PER_STATE)


@dataclass(frozen=True, slots=True)
class TimedSegment:
    """A segment with the fields of openai-whisper's, and its words, whose times are seconds of the recording."""

    fields: dict[str, Any]
    words: list[WordTiming]

    def parted(self, count: int) -> tuple[TimedSegment, TimedSegment]:
        """Its first ``count`` words, and the others; the timestamp tokens stay at its two ends."""
        tokens = self.fields["tokens"]
        place = sum(len(word.tokens) for word in self.words[:count])
        place += tokens[0] != self.words[0].tokens[0]
        return (
            TimedSegment(self._part(0, count) | {"tokens": tokens[:place]}, self.words[:count]),
            TimedSegment(self._part(count, len(self.words)) | {"tokens": tokens[place:]}, self.words[count:]),
        )

    def _part(self, first: int, last: int) -> dict[str, Any]:
        words = self.words[first:last]
        text = "".join(word.word for word in words)
        return self.fields | {"text": text, "start": words[0].start, "end": words[-1].end}


def words_in(segments: Iterable[TimedSegment]) -> list[WordTiming]:
    """The words of all of them."""
    return [word for segment in segments for word in segment.words]


def put_in(segments: Sequence[TimedSegment], others: Sequence[TimedSegment], at_seconds: float) -> list[TimedSegment]:
    """Segments with ``others`` among them, at ``at_seconds``; the one in whose middle that is, is parted."""
    before: list[TimedSegment] = []
    after: list[TimedSegment] = []
    for one in segments:
        early = sum(1 for word in one.words if word.start < at_seconds)
        if early == len(one.words) and not after:
            before.append(one)
        elif early == 0 or after:
            after.append(one)
        else:
            first, second = one.parted(early)
            before.append(first)
            after.append(second)
    return [*before, *others, *after]


def to_segment(number: int, fields: dict[str, Any], words: Sequence[WordTiming]) -> Segment:
    """A segment as it is given out; it begins and ends with its words, whose times are seconds of the recording."""
    return Segment(
        id=number,
        seek=fields["seek"],
        start=words[0].start if words else float(fields["start"]),
        end=words[-1].end if words else float(fields["end"]),
        text=fields["text"],
        tokens=tuple(fields["tokens"]),
        temperature=fields["temperature"],
        avg_logprob=float(fields["avg_logprob"]),
        compression_ratio=float(fields["compression_ratio"]),
        no_speech_prob=float(fields["no_speech_prob"]),
        words=tuple(Word(word.word, word.start, word.end, word.probability) for word in words),
    )
