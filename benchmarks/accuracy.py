"""Is the progressive final as right as whisper.transcribe of the whole file?

    python -m benchmarks.accuracy [--model base] [--beam 5] [--pause SECONDS] [--first N | --minutes N]

Every recording alone, and all readings joined; or the readings over and over for so many minutes. Each is heard a
second at a time with its voice activity, as a live session is; with ``--pause``, so much of a quiet room's noise
follows, of which the final looks at the first second and ``whisper.transcribe`` at all. Prints the WER of both, whether
text and tokens are the same, how far the ends of words are from those that
``whisper.transcribe(word_timestamps=True)`` gives, and what either cost in processor seconds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from difflib import SequenceMatcher

import numpy as np
import whisper

from benchmarks.corpus.reading import joined_samples, long_reading
from benchmarks.corpus.recordings import Clip, jfk_clip, reading_clips, sample_clips, shared_folder
from benchmarks.corpus.sounds import room
from benchmarks.metrics.display import word_error_rate
from benchmarks.simulated.progressive import progressive
from benchmarks.tail import loaded
from openmic.settings import Settings
from openmic.speech.load import load_parts
from openmic.speech.types import FinalText

QUIET_DECIBELS = -55.0  # of full scale

COLUMNS = (
    "recording",
    "s",
    "WER % openmic final",
    "WER % whisper.transcribe",
    "same text",
    "same tokens",
    "word ends apart s, median / p90",
    "CPU s openmic",
    "CPU s whisper",
)


def ends_apart(ours: FinalText, theirs: list[tuple[str, float]]) -> list[float]:
    """Seconds between the ends of the words that both texts have."""
    mine = [(word.word, word.end) for segment in ours.segments for word in segment.words]
    matcher = SequenceMatcher(None, [text for text, _ in mine], [text for text, _ in theirs], autojunk=False)
    return [abs(mine[a + i][1] - theirs[b + i][1]) for a, b, size in matcher.get_matching_blocks() for i in range(size)]


def all_clips() -> list[Clip]:
    """The recordings, and the readings joined."""
    folder = shared_folder()
    reading = reading_clips(folder) if folder else []
    clips = [*sample_clips(), *([jfk_clip(folder)] if folder else []), *reading]
    if reading:
        clips.append(Clip("reading, joined", joined_samples(reading), " ".join(clip.text for clip in reading)))
    return clips


def long_clip(minutes: float) -> Clip:
    """The recording that ``benchmarks.final`` streams for this length."""
    reading = long_reading(minutes)
    return Clip(f"{minutes:g} minutes", reading.samples, reading.text)


def spread(apart: list[float]) -> str:
    """Median and 90th percentile in words."""
    return f"{np.median(apart):.2f} / {np.percentile(apart, 90):.2f}" if apart else "-"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--beam", type=int, default=1, help="beam size of both; 1 is greedy")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds of a quiet room behind each recording")
    parser.add_argument("--first", type=int, help="only so many recordings, and not the joined one")
    parser.add_argument("--minutes", type=float, help="only one recording: the readings repeated for so long")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="whisper")
    loaded_parts, _ = load_parts(Settings(model=arguments.model, final_beam_size=arguments.beam))
    parts, info = loaded_parts.final, loaded_parts.info
    model = loaded(parts.name, info.device)
    print(f"{arguments.model} on {info.device}, {info.dtype}, beam {arguments.beam}")
    print(f"| {' | '.join(COLUMNS)} |\n" + "| --- " * len(COLUMNS) + "|")
    words, apart, cpu = [0, 0.0, 0.0], [], [0.0, 0.0]
    for clip in [long_clip(arguments.minutes)] if arguments.minutes else all_clips()[: arguments.first]:
        if arguments.pause:
            clip = replace(clip, samples=np.concatenate([clip.samples, room(arguments.pause, QUIET_DECIBELS)]))
        began = time.process_time()
        ours = progressive(parts, clip)
        middle = time.process_time()
        theirs = whisper.transcribe(
            model,
            clip.samples,
            word_timestamps=True,
            fp16=info.dtype == "float16",
            beam_size=arguments.beam if arguments.beam > 1 else None,
        )
        ended = time.process_time()
        mine, other = word_error_rate(clip.text, ours.text), word_error_rate(clip.text, theirs["text"])
        same = [list(s.tokens) for s in ours.segments] == [s["tokens"] for s in theirs["segments"]]
        differences = ends_apart(ours, [(w["word"], w["end"]) for s in theirs["segments"] for w in s["words"]])
        apart += differences
        count = len(clip.text.split())
        words = [words[0] + count, words[1] + mine * count, words[2] + other * count]
        cpu = [cpu[0] + middle - began, cpu[1] + ended - middle]
        print(
            f"| {clip.name} | {clip.seconds:.0f} | {100 * mine:.1f} | {100 * other:.1f} "
            f"| {'yes' if ours.text == theirs['text'] else 'no'} | {'yes' if same else 'no'} | {spread(differences)} "
            f"| {middle - began:.1f} | {ended - middle:.1f} |",
            flush=True,
        )
    print(
        f"| all | | {100 * words[1] / words[0]:.2f} | {100 * words[2] / words[0]:.2f} | | | {spread(apart)} "
        f"| {cpu[0]:.0f} | {cpu[1]:.0f} |"
    )


if __name__ == "__main__":
    main()
