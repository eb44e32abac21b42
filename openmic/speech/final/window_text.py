"""What of a window's text stays, and where the walk goes on behind it."""

from __future__ import annotations

from dataclasses import dataclass

from whisper.audio import FRAMES_PER_SECOND
from whisper.tokenizer import Tokenizer
from whisper.utils import get_end

from openmic.speech.final.decode import WindowResult
from openmic.speech.final.next_window import LEFT_SECONDS, ends_region
from openmic.speech.final.segments import TimedSegment, cut
from openmic.speech.final.speech_timeline import SpeechTimeline
from openmic.speech.final.temperature import FinalModel
from openmic.speech.final.walk_state import WalkState
from openmic.speech.final.word_times import reference_word_times, words_of_all
from openmic.speech.model.decoder import CrossAttentionKV
from openmic.speech.stock_phrases import is_invented

MOST_LEFT_SECONDS = 1.5  # of speech behind the last word of a window that has ended early


@dataclass(frozen=True, slots=True)
class WindowText:
    """What a window said, and where the walk goes on: the next mel frame, and where the last word ended in seconds."""

    segments: list[TimedSegment]
    seek: int
    last_speech_seconds: float | None


def window_text(
    parts: FinalModel,
    result: WindowResult,
    cross: CrossAttentionKV,
    tokenizer: Tokenizer,
    size: int,
    timeline: SpeechTimeline,
    state: WalkState,
    ended: bool,
    terms: bool,
) -> WindowText:
    """The window's segments with their words, as far as somebody speaks there, and where the walk goes on.

    Args:
        parts: the model.
        result: what was said in the window.
        cross: keys and values of its encoder states.
        tokenizer: of its language and task.
        size: mel frames of audio in it.
        timeline: where somebody speaks.
        state: of the walk, before the window.
        ended: the recording does not grow any more.
        terms: the client has some. Such a list can have the decoder end a window long before the speech in it does;
            without one, what whisper.transcribe leaves out is left out here.
    """
    window = cut(result, tokenizer, state.seek, size)
    begin = state.seek / FRAMES_PER_SECOND
    words = words_of_all(window.segments, parts.decoder, result.trace, tokenizer, size, begin)
    segments, last_speech = window.segments, state.last_speech_seconds
    last = next((segment[-1].end for segment in reversed(words) if segment), None)
    seek = state.seek + (window.advance or size)  # one that says to begin at itself again would do so for ever
    if last is not None and ends_region(timeline, last, ended):
        seek = seek if window.single_ending else round(last * FRAMES_PER_SECOND)
        last_speech = last
    else:  # whisper.transcribe goes on behind the last word, as its own alignment has it
        segments = reference_word_times(
            segments, parts.model, parts.decoder, cross, tokenizer, size, last_speech or 0.0
        )
        last = get_end(segments)
        if last is not None:
            moved = last > begin + MOST_LEFT_SECONDS  # else it could go on by hundredths, window after window
            end = begin + size / FRAMES_PER_SECOND
            left = moved and terms and timeline.speech_seconds(last + LEFT_SECONDS, end) > MOST_LEFT_SECONDS
            whole = window.single_ending and not left
            if not whole and last > segments[0]["seek"] / FRAMES_PER_SECOND:
                seek = round(last * FRAMES_PER_SECOND)
            last_speech = last
    kept = []
    for segment, spoken in zip(segments, words, strict=True):
        if not spoken or segment["start"] == segment["end"] or not segment["text"].strip():
            kept.append(TimedSegment(segment | {"text": "", "tokens": []}, []))
        elif timeline.has_speech(spoken[0].start, spoken[-1].end) and not is_invented(
            segment["text"], spoken[0].probability, tokenizer.language
        ):
            kept.append(TimedSegment(segment, spoken))
    return WindowText(kept, seek, last_speech)
