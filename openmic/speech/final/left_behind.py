"""Speech that the text of a window leaves out, decoded alone.

Whisper can end a window's text long before the speech in it ends, or skip what is said in another language than the
rest: only half of a window may come out that somebody fills with English and somebody else with German. Voice activity
tells where that is. A stretch of speech without a word is decoded as a recording of its own, in its own language; what
the model is sure of is put in its place. The windows, their prompts and all other words stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence

import torch.nn.functional as F
from whisper.audio import FRAMES_PER_SECOND, N_FRAMES
from whisper.timing import WordTiming
from whisper.tokenizer import Tokenizer

from openmic.speech.final.passes import CheckedPass, WindowPass
from openmic.speech.final.segments import TimedSegment, cut, put_in, words_in
from openmic.speech.final.speech_timeline import SpeechTimeline
from openmic.speech.final.temperature import GREEDY, FinalModel, failed, likely_languages, transcribe_window
from openmic.speech.final.word_times import words_of_all
from openmic.speech.model.mel import log_mel_power_of, normalized
from openmic.speech.model.units import NO_SPEECH_THRESHOLD
from openmic.speech.stock_phrases import is_invented
from openmic.speech.types import Recording, SpeechOptions

LEFT_BEHIND_SECONDS = 1.5  # of speech without a word between: more is a fault
LEAST_COVERED = 0.5  # of the speech in a stretch: a text with words for less was invented


def with_left_behind(
    parts: FinalModel,
    recording: Recording,
    options: SpeechOptions,
    timeline: SpeechTimeline,
    segments: Sequence[TimedSegment],
    begin: float,
    end: float,
) -> Generator[WindowPass | None, CheckedPass | None, list[TimedSegment]]:
    """A window's segments, and between them those of the speech that it has left out; a small step at a time.

    Args:
        parts: the model.
        recording: of the window.
        options: language and task.
        timeline: where somebody speaks.
        segments: of the window, their words where they are heard.
        begin: where the last word before the window ended, in seconds.
        end: where the next window begins.
    """
    found = list(segments)
    while (stretch := speech_without_words(timeline, words_in(found), begin, end)) is not None:
        heard = yield from _alone(parts, recording, options, timeline, *stretch)
        begin = stretch[1]
        if heard:
            begin = min(begin, max(heard[-1].words[-1].end, stretch[0] + LEFT_BEHIND_SECONDS))
            found = put_in(found, heard, stretch[0])
    return found


def speech_without_words(
    timeline: SpeechTimeline, words: Sequence[WordTiming], begin: float, end: float
) -> tuple[float, float] | None:
    """The first stretch with more than ``LEFT_BEHIND_SECONDS`` of speech and no word: its first and last moment of it.

    Args:
        timeline: where somebody speaks.
        words: in order, with seconds of the recording.
        begin: from where it is looked for, in seconds,
        end: and up to where.
    """
    for word_start, word_end in [*((word.start, word.end) for word in words), (end, end)]:
        spans = timeline.spans(begin, min(word_start, end))
        if sum(stop - start for start, stop in spans) > LEFT_BEHIND_SECONDS:
            return spans[0][0], spans[-1][1]
        begin = max(begin, word_end)
    return None


def _alone(
    parts: FinalModel,
    recording: Recording,
    options: SpeechOptions,
    timeline: SpeechTimeline,
    start: float,
    end: float,
) -> Generator[WindowPass | None, CheckedPass | None, list[TimedSegment]]:
    """What is said between ``start`` and ``end``, as if nothing else were said; [] where the model is not sure."""
    first = round(start * FRAMES_PER_SECOND)
    size = min(int(N_FRAMES), math.floor(end * FRAMES_PER_SECOND) - first)
    power = log_mel_power_of(recording, first, size, int(parts.model.dims.n_mels), parts.model.device)
    mel = F.pad(normalized(power, float(power.max())), (0, N_FRAMES - size)).to(parts.decoder.dtype)
    states = yield from parts.encoder.encode(mel)
    cross = parts.decoder.cross_attention_kv(states)
    for language, _ in likely_languages(parts, options.language, cross):
        tokenizer: Tokenizer = parts.vocabulary.tokenizer(language, options.task)
        result = yield from transcribe_window(
            parts, options.task, states, cross, tokenizer, (), (), sketched=True, temperatures=GREEDY
        )
        if not failed(result) and result.no_speech_prob <= NO_SPEECH_THRESHOLD:
            break
    else:
        return []
    fields = cut(result, tokenizer, first, size).segments
    words = words_of_all(fields, parts.decoder, result.trace, tokenizer, size, start)
    heard = [
        TimedSegment(one, spoken)
        for one, spoken in zip(fields, words, strict=True)
        if spoken and not is_invented(one["text"], spoken[0].probability, language)
    ]
    timeline.place(words_in(heard), start, end)
    covered = sum(timeline.speech_seconds(one.words[0].start, one.words[-1].end) for one in heard)
    return heard if covered >= LEAST_COVERED * timeline.speech_seconds(start, end) else []
