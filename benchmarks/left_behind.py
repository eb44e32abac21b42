"""How much speech is in no word of the final text?

    python -m benchmarks.left_behind [--model base] [--cuts SECONDS] [--only TEXT]

Recordings, mixtures of them (two languages by turns, two voices at once, music) and cuts of 29.4 s, one every so many
seconds (``--cuts``, 20), through the final pass as a session walks it, and through ``whisper.transcribe``. Prints how
many stretches have more than 1.5 s of voice activity and no word, the longest, and the WER of both. Ends with status 1
if openmic's final has such a stretch.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator

import numpy as np
import whisper
from whisper.timing import WordTiming

from benchmarks.corpus.reading import joined_samples
from benchmarks.corpus.recordings import Clip, german_clip, jfk_clip, load, reading_clips, sample_clips, shared_folder
from benchmarks.corpus.sounds import music
from benchmarks.metrics.display import word_error_rate
from benchmarks.simulated.progressive import progressive
from benchmarks.tail import loaded
from openmic.audio import SAMPLE_RATE, VoiceActivity
from openmic.audio.types import Samples
from openmic.settings import Settings
from openmic.speech.final.left_behind import LEFT_BEHIND_SECONDS
from openmic.speech.final.speech_timeline import SpeechTimeline
from openmic.speech.load import load_parts

CUT_SECONDS = 29.4
TURNS_SECONDS = (5.0, 8.0, 12.0, 20.0)
COLUMNS = (
    "recording",
    "s",
    "of speech",
    "stretches left",
    "longest s",
    "WER %",
    "by whisper",
    "longest",
    "WER",
    "CPU s",
)

Span = tuple[float, float]


def timeline_of(samples: Samples) -> SpeechTimeline:
    """Where somebody speaks in a recording."""
    voice, timeline = VoiceActivity(Settings().endpoint_silence_seconds), SpeechTimeline()
    timeline.add_boundaries(voice.push(samples) + voice.flush(), len(samples) / SAMPLE_RATE)
    return timeline


def left_seconds(timeline: SpeechTimeline, words: list[Span], end: float) -> list[float]:
    """Seconds of speech before the first word, between each two, and behind the last; words are placed in speech."""
    timed = [WordTiming("", [], *word, 0.0) for word in words]
    timeline.place(timed, 0.0, end)
    edges = [0.0, *(moment for word in timed for moment in (word.start, word.end)), end]
    return [timeline.speech_seconds(*span) for span in zip(edges[::2], edges[1::2], strict=True)]


def by_turns(one: Samples, other: Samples, seconds: float) -> Samples:
    """``seconds`` of one recording, ``seconds`` of the other, and so on to the end of the shorter."""
    size = round(seconds * SAMPLE_RATE)
    turns = range(min(len(one), len(other)) // size)
    return np.concatenate([part[size * turn : size * (turn + 1)] for turn in turns for part in (one, other)])


def at_once(one: Samples, other: Samples) -> Samples:
    """Both, as long as the shorter, equally loud."""
    count = min(len(one), len(other))
    loud = [np.sqrt((part[:count] ** 2).mean()) for part in (one, other)]
    mixed = one[:count] + other[:count] * (loud[0] / loud[1])
    return np.asarray(mixed / max(1.0, np.abs(mixed).max()), np.float32)


def recordings(cut_every_seconds: float) -> Iterator[Clip]:
    """All that is measured; where one has no text of its own, there is no WER."""
    quickstart, interview = sample_clips()
    german = german_clip()
    whole = [quickstart, interview, german]
    folder = shared_folder()
    if folder is not None:
        reading = reading_clips(folder)
        spanish = folder / "librivox-es" / "carta.mp3"
        text = spanish.with_suffix(".txt").read_text(encoding="utf-8").strip()
        whole += [
            jfk_clip(folder),
            Clip("readings", joined_samples(reading), " ".join(clip.text for clip in reading)),
            Clip("carta", load(spanish), text, "es"),
        ]
    yield from whole
    others = [clip for clip in whole if clip.language != "en"]
    for other in others:
        for seconds in TURNS_SECONDS:
            yield Clip(
                f"interview and {other.name} by turns, {seconds:g} s",
                by_turns(interview.samples, other.samples, seconds),
                "",
            )
    yield Clip("interview and german at once", at_once(interview.samples, german.samples), "")
    between = [quickstart.samples, music(6.0), quickstart.samples]
    yield Clip("quickstart, 6 s of music, quickstart", np.concatenate(between), f"{quickstart.text} {quickstart.text}")
    loud = at_once(quickstart.samples, music(quickstart.seconds))
    yield Clip("quickstart over music", loud, quickstart.text)
    for clip in whole:
        for begin in np.arange(cut_every_seconds, clip.seconds - CUT_SECONDS, cut_every_seconds):
            first = round(begin * SAMPLE_RATE)
            yield Clip(
                f"{clip.name} from {begin:g} s", clip.samples[first : first + round(CUT_SECONDS * SAMPLE_RATE)], ""
            )


def measured(clip: Clip, timeline: SpeechTimeline, text: str, words: list[Span]) -> tuple[int, float, float | None]:
    """How many stretches a text leaves out, the longest in seconds, and its WER."""
    left = left_seconds(timeline, words, clip.seconds)
    wrong = word_error_rate(clip.text, text, clip.language) if clip.text else None
    return sum(seconds > LEFT_BEHIND_SECONDS for seconds in left), max(left), wrong


def _cells(found: tuple[int, float, float | None]) -> str:
    count, longest, wrong = found
    return f"{count} | {longest:.2f} | {'-' if wrong is None else f'{100 * wrong:.1f}'}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.left_behind", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--cuts", type=float, default=20.0, help="a cut begins every so many seconds")
    parser.add_argument("--only", default="", help="recordings whose name has this in it")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="whisper")
    loaded_parts, _ = load_parts(Settings(model=arguments.model))
    parts, info = loaded_parts.final, loaded_parts.info
    model = loaded(parts.name, info.device)
    print(f"{arguments.model} on {info.device}, {info.dtype}")
    print(f"| {' | '.join(COLUMNS)} |\n" + "| --- " * len(COLUMNS) + "|")
    stretches = [0, 0]
    for clip in recordings(arguments.cuts):
        if arguments.only not in clip.name:
            continue
        began = time.process_time()
        ours = progressive(parts, clip)
        spent = time.process_time() - began
        theirs = whisper.transcribe(model, clip.samples, word_timestamps=True, fp16=info.dtype == "float16")
        timeline = timeline_of(clip.samples)
        mine = measured(clip, timeline, ours.text, [(w.start, w.end) for s in ours.segments for w in s.words])
        other = measured(
            clip, timeline, theirs["text"], [(w["start"], w["end"]) for s in theirs["segments"] for w in s["words"]]
        )
        stretches = [stretches[0] + mine[0], stretches[1] + other[0]]
        print(
            f"| {clip.name} | {clip.seconds:.0f} | {timeline.speech_seconds(0.0, clip.seconds):.0f} "
            f"| {_cells(mine)} | {_cells(other)} | {spent:.1f} |",
            flush=True,
        )
    print(f"| all | | | {stretches[0]} | | | {stretches[1]} | | | |")
    sys.exit(1 if stretches[0] else 0)


if __name__ == "__main__":
    main()
