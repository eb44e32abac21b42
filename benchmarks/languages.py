"""Does live text stay in the language that is spoken, where people speak in short phrases and it is detected?

``python -m benchmarks.languages [--model base] [--show]``

Recordings are cut into phrases of 0.8 to 2.5 s with silence between them, and played in virtual time: once with the
language told, once with it detected. Others change the language after every phrase, or after every third.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from benchmarks.corpus.reading import available_clips
from benchmarks.corpus.recordings import german_clip, load, sample_clips, shared_folder
from benchmarks.live_quality import quiet_parts
from benchmarks.metrics.display import word_error_rate
from benchmarks.simulated.virtual import GrowingRecording, VirtualEngine
from openmic.audio import SAMPLE_RATE, VoiceActivity
from openmic.audio.types import Samples
from openmic.settings import Settings
from openmic.speech.engine.thread import EngineParts
from openmic.speech.types import CommittedText, LiveText

COST_SECONDS = 0.3
PAUSE_SECONDS = 0.2  # in the recordings: a shorter one parts no phrases
SHORTEST_SECONDS, LONGEST_SECONDS = 0.8, 2.5  # of a phrase
QUIET_SECONDS = 1.2  # between two
ROOM_NOISE = 1e-3  # root mean square, -60 dB
PHRASES = 14  # of each recording


@dataclass(frozen=True, slots=True)
class Phrase:
    """What somebody says between two pauses, and in which language."""

    samples: Samples
    language: str


@dataclass(frozen=True, slots=True)
class Played:
    """What became of some phrases.

    Attributes:
        text: that was committed.
        steps: how many showed text, by whether they were decoded in the phrase's language.
        followed_seconds: for each change of language, from its beginning to the first step in the new one.
        unknown: committed pieces that say no language, or another.
        commits: all of them.
    """

    text: str
    steps: Counter[bool]
    followed_seconds: tuple[float, ...]
    unknown: int
    commits: int


def phrases(samples: Samples, language: str) -> list[Phrase]:
    """The first phrases of a recording; what is said without a pause for too long is cut into equal parts."""
    voice = VoiceActivity(PAUSE_SECONDS)
    boundaries = [round(one.at * SAMPLE_RATE) for one in (*voice.push(samples), *voice.flush())]
    found = []
    for begin, end in zip(boundaries[::2], boundaries[1::2], strict=True):
        parts = max(1, -(-(end - begin) // round(LONGEST_SECONDS * SAMPLE_RATE)))
        for part in np.array_split(samples[begin:end], parts):
            if len(part) >= SHORTEST_SECONDS * SAMPLE_RATE:
                found.append(Phrase(part, language))
    return found[:PHRASES]


def alternating(one: Sequence[Phrase], other: Sequence[Phrase], run: int) -> list[Phrase]:
    """``run`` phrases of one, ``run`` of the other, and so on."""
    pieces = [(one[place : place + run], other[place : place + run]) for place in range(0, PHRASES - run + 1, run)]
    return [phrase for pair in pieces for part in pair for phrase in part]


def play(parts: EngineParts, settings: Settings, said: Sequence[Phrase], language: str | None) -> Played:
    """Stream the phrases one after another, the language told or (None) detected."""
    noise = np.random.default_rng(0)
    quiet = np.zeros(round(QUIET_SECONDS * SAMPLE_RATE), np.float32)
    samples = np.concatenate([piece for phrase in said for piece in (quiet, phrase.samples)])
    samples = (samples + noise.normal(0, ROOM_NOISE, len(samples))).astype(np.float32)
    begins = np.cumsum([len(quiet) + len(phrase.samples) for phrase in said]) - [len(one.samples) for one in said]
    begin_seconds = begins / SAMPLE_RATE
    engine = VirtualEngine(parts, settings, COST_SECONDS, language)
    text, steps, unknown, commits = "", Counter[bool](), 0, 0
    followed: dict[int, float] = {}
    for told in engine.play(GrowingRecording(samples)):
        if not isinstance(told.event, LiveText | CommittedText):
            continue
        place = max(0, int(np.searchsorted(begin_seconds, told.at - COST_SECONDS)) - 1)
        right = told.language == said[place].language
        steps[right] += 1
        if right:
            followed.setdefault(place, told.at - begin_seconds[place])
        if isinstance(told.event, CommittedText):
            text += told.event.text
            commits += 1
            unknown += told.event.language != said[place].language
    changes = [place for place in range(1, len(said)) if said[place].language != said[place - 1].language]
    return Played(text, steps, tuple(followed.get(place, np.inf) for place in changes), unknown, commits)


def recordings() -> Iterator[tuple[str, list[Phrase]]]:
    """Name and phrases of what is there."""
    yield "English, interview", phrases(sample_clips()[-1].samples, "en")
    yield "English, readings", phrases(np.concatenate([clip.samples for clip in available_clips()[1][:8]]), "en")
    yield "German", phrases(german_clip().samples, "de")
    folder = shared_folder()
    if folder is not None:
        yield "Spanish", phrases(load(folder / "librivox-es" / "carta.mp3"), "es")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.languages", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--show", action="store_true", help="print the texts")
    arguments = parser.parse_args()
    parts, settings = quiet_parts(arguments.model, 0.5, 1)
    found = dict(recordings())
    print("| phrases | steps in another language % | commits without it % | WER against the language told % |")
    print("| --- " * 4 + "|", flush=True)
    for name, said in found.items():
        told = play(parts, settings, said, said[0].language)
        detected = play(parts, settings, said, None)
        wer = 100 * word_error_rate(told.text, detected.text, said[0].language)
        print(f"| {name} | {_wrong(detected)} | {wer:.1f} |", flush=True)
        if arguments.show:
            print(told.text, detected.text, sep="\n")
    print("\n| changes | steps in another language % | commits without it % | followed after s: median, most | never |")
    print("| --- " * 5 + "|", flush=True)
    english = found["English, interview"]
    for name, said in islice(found.items(), 2, None):
        for run in (3, 1):
            played = play(parts, settings, alternating(english, said, run), None)
            seconds = [one for one in played.followed_seconds if np.isfinite(one)]
            never = len(played.followed_seconds) - len(seconds)
            delay = f"{np.median(seconds):.2f}, {max(seconds):.2f}"
            print(f"| English and {name}, each {run} | {_wrong(played)} | {delay} | {never} |", flush=True)
            if arguments.show:
                print(played.text)


def _wrong(played: Played) -> str:
    steps = 100 * played.steps[False] / max(1, sum(played.steps.values()))
    return f"{steps:.1f} | {100 * played.unknown / max(1, played.commits):.1f}"


if __name__ == "__main__":
    main()
