"""Windows as a live step sees them: cut out of a reading at the ends of words, with the words that are in them."""

from __future__ import annotations

from benchmarks.corpus.reading import Reading
from benchmarks.corpus.recordings import Clip
from benchmarks.corpus.words import spans
from openmic.audio.types import SAMPLE_RATE

OFF = 0.15  # how far a cut's length may be from what was asked for, of that length
LEAST_OFF_SECONDS = 0.12  # at least so much, or no word would fit the shortest


def cuts(reading: Reading, seconds: float, most: int) -> list[Clip]:
    """Windows of about ``seconds``, spread evenly over the reading.

    Each begins where a word of the forced alignment ends and ends where another does; its text is the reference's
    between the two. A reading shorter than ``seconds`` has none.

    Args:
        reading: with the ends of its words.
        seconds: wanted length.
        most: how many at most.
    """
    places = spans(reading.text)
    if [text for text, _ in places] != [word.text for word in reading.words]:
        raise ValueError(f"{reading.name}: its words and its text are not the same")
    ends = [0.0, *(word.end for word in reading.words)]
    letters = [-1, *(last for _, last in places)]
    found = []
    for first in range(len(ends) - 1):
        last = min(range(first + 1, len(ends)), key=lambda place: abs(ends[place] - ends[first] - seconds))
        if abs(ends[last] - ends[first] - seconds) <= max(OFF * seconds, LEAST_OFF_SECONDS):
            found.append((first, last))
    step = max(1.0, len(found) / most)
    chosen = [found[int(number * step)] for number in range(min(most, len(found)))]
    return [
        Clip(
            f"{reading.name}@{ends[first]:.2f}",
            reading.samples[round(ends[first] * SAMPLE_RATE) : round(ends[last] * SAMPLE_RATE)],
            reading.text[letters[first] + 1 : letters[last] + 1].lstrip(" ,.;:!?\"'"),
            reading.language,
        )
        for first, last in chosen
    ]
