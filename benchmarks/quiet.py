"""Does anybody speak where nobody speaks? Minutes of silence, noise, music, humming and coughs must add no word.

    python -m benchmarks.quiet [--minutes 10] [--model base] [--only TEXT]

Each sound is heard alone, between two sentences, and for three seconds behind each of six, so close that one window has
them all, through voice activity, the live pass and the final pass, as fast as the engine goes. Of a far television
words may be written that were said on it. Prints every word that was invented or lost, in live or final text, and how
far the times of the final's words are from a forced alignment's. Ends with status 1 if anything was invented or lost,
or 0.3 s off.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from benchmarks.corpus.alignment import word_ends
from benchmarks.corpus.recordings import Clip, sample_clips
from benchmarks.corpus.sounds import SAID, SOUNDS
from benchmarks.corpus.words import SpokenWord, words
from benchmarks.metrics.display import normalizer
from benchmarks.simulated.virtual import GrowingRecording
from openmic.audio import SAMPLE_RATE, VoiceActivity
from openmic.audio.types import Samples
from openmic.settings import Settings
from openmic.speech.engine.thread import WhisperEngine
from openmic.speech.load import load_engine
from openmic.speech.types import CommittedText, FinalText, LiveText, SpeechEvent, SpeechFailed, SpeechOptions

PIECE_SECONDS = 0.5  # heard at once
AHEAD_SECONDS = 2.0  # speech may run so far ahead of the live pass
WAIT_SECONDS = 1800.0  # for a final
MOST_OFF_SECONDS = 0.3
CLOSE_SECONDS = 3.0  # of a sound between sentences that one window hears
CLOSE_TIMES = 3
SENTENCES = ((0.0, 4.4), (4.4, 10.2))  # of quickstart.wav, in seconds


@dataclass(frozen=True, slots=True)
class Heard:
    """What an engine made of a recording: all live texts it showed, what it promised, and its final."""

    shown: tuple[str, ...]
    committed: str
    final: FinalText


@dataclass(frozen=True, slots=True)
class Verdict:
    """Invented and lost words, and how far the final's words are off; in words and seconds."""

    invented: list[str]
    lost: list[str]
    off_seconds: float

    @property
    def good(self) -> bool:
        """Nothing to complain about."""
        return not self.invented and not self.lost and self.off_seconds <= MOST_OFF_SECONDS


def listen(engine: WhisperEngine, samples: Samples) -> Heard:
    """Have an engine hear a recording as a session would, as fast as it goes."""
    recording = GrowingRecording(samples)
    events: list[SpeechEvent] = []
    over = threading.Event()

    def on_event(event: SpeechEvent) -> None:
        events.append(event)
        if isinstance(event, FinalText | SpeechFailed):
            over.set()

    stream = engine.open(recording, SpeechOptions(), on_event)
    voice = VoiceActivity(Settings().endpoint_silence_seconds)
    piece = round(PIECE_SECONDS * SAMPLE_RATE)
    for begin in range(0, len(samples), piece):
        recording.length = min(begin + piece, len(samples))
        stream.add_boundaries(voice.push(samples[begin : recording.length]))
        while stream.waiting_seconds() > AHEAD_SECONDS and not over.is_set():
            time.sleep(0.02)
    stream.add_boundaries(voice.flush())
    stream.finish()
    if not over.wait(WAIT_SECONDS) or not isinstance(events[-1], FinalText):
        raise RuntimeError("no final text came")
    return Heard(
        tuple(event.text for event in events if isinstance(event, LiveText)),
        "".join(event.text for event in events if isinstance(event, CommittedText)),
        events[-1],
    )


def sentences() -> list[tuple[Samples, list[SpokenWord]]]:
    """Two sentences of our own recording: their samples, and when their words end in them."""
    clip = next(clip for clip in sample_clips() if clip.name == "quickstart")
    texts = [text.strip() + "." for text in clip.text.split(".")]
    found = []
    for (begin, end), text in zip(SENTENCES, texts, strict=False):
        part = Clip(text, clip.samples[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)], text)
        found.append((part.samples, word_ends(part)))
    return found


def joined(pieces: list[tuple[Samples, list[SpokenWord]]]) -> tuple[Samples, list[SpokenWord]]:
    """Pieces of sound one after another, and when their words end in all of it."""
    samples, spoken, begin = [], [], 0.0
    for sound, its_words in pieces:
        spoken += [SpokenWord(word.text, begin + word.end) for word in its_words]
        samples.append(sound)
        begin += len(sound) / SAMPLE_RATE
    return np.concatenate(samples), spoken


def close_by(sound: Samples) -> list[tuple[Samples, list[SpokenWord]]]:
    """The two sentences over and over, and behind each a little of the sound."""
    first, second = sentences()
    size = round(CLOSE_SECONDS * SAMPLE_RATE)
    parts = [sound[size * place : size * (place + 1)] for place in range(2 * CLOSE_TIMES)]
    said = [first, second] * CLOSE_TIMES
    return [piece for sentence, part in zip(said, parts, strict=True) for piece in (sentence, (part, []))]


def judged(heard: Heard, spoken: list[SpokenWord], also: str = "") -> Verdict:
    """Compare all that was ever shown, and the final, with what was spoken; a number may be in figures.

    Args:
        heard: by an engine.
        spoken: all of it has to be heard.
        also: said in the background: any of it may be.
    """
    reference, background = _counted(" ".join(word.text for word in spoken)), _counted(also)
    final = _counted(heard.final.text)
    invented = list((final - reference).elements())
    invented += list((_counted(heard.committed) - reference).elements())
    if not spoken:
        invented += [word for text in heard.shown for word in words(text)]
    invented = [word for word in invented if word not in background]
    lost = list((reference - final).elements())
    ends = [word.end for segment in heard.final.segments for word in segment.words if words(word.word)]
    off = (
        [abs(end - word.end) for end, word in zip(ends, spoken, strict=False)] if not (invented or lost or also) else []
    )
    return Verdict(invented, lost, max(off, default=0.0))


def _counted(text: str) -> Counter[str]:
    return Counter(normalizer("en")(text).split())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quiet", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of each sound")
    parser.add_argument("--model", default="base")
    parser.add_argument("--only", default="", help="sounds whose name has this in it")
    arguments = parser.parse_args()
    engine = load_engine(Settings(model=arguments.model))
    first, second = sentences()
    print(f"{arguments.model} on {engine.info.device}, {arguments.minutes:g} minutes of each sound")
    print("| sound | where | invented | lost | farthest word end, s off | CPU s |\n" + "| --- " * 6 + "|")
    good = True
    for name, make in SOUNDS.items():
        if arguments.only not in name:
            continue
        sound: tuple[Samples, list[SpokenWord]] = (make(60 * arguments.minutes), [])
        also = SAID.get(name, lambda: "")()
        close = close_by(make(2 * CLOSE_TIMES * CLOSE_SECONDS))
        for where, pieces in (("alone", [sound]), ("between sentences", [first, sound, second]), ("close by", close)):
            samples, spoken = joined(pieces)
            began = time.process_time()
            verdict = judged(listen(engine, samples), spoken, also)
            good = good and verdict.good
            print(
                f"| {name} | {where} | {' '.join(verdict.invented) or 0} | {' '.join(verdict.lost) or 0} "
                f"| {verdict.off_seconds:.2f} | {time.process_time() - began:.1f} |",
                flush=True,
            )
    engine.close()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
