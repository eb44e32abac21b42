"""Live policies side by side, in virtual time, on the same encoder, decoder and windows.

    python -m benchmarks.policies [--seconds N] [--step 0.5] [--cost 0.3] [--json FILE]

- LocalAgreement-2 alone (Machacek et al. 2023): commits the words on which two consecutive hypotheses agree, and shows
  the rest of the newest one.
- The attention guard alone (AlignAtt; Papi et al. 2023): commits each word that does not point at the last frames,
  without a second hypothesis, and shows nothing else. Where a word points is where the alignment heads put its end.
- openmic's ``CommitPolicy``: both, and what it knows of words at the edge, of silence and of windows that never agree.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import takewhile

from benchmarks.corpus.reading import Reading, german_reading, join, load_reading
from benchmarks.corpus.words import words as spelled_words
from benchmarks.live_quality import Quality, add_engine_options, assess, quiet_parts, single_clips
from benchmarks.metrics.display import Delay, pooled
from benchmarks.simulated.virtual import VirtualEngine
from openmic.settings import Settings
from openmic.speech.engine.thread import EngineParts
from openmic.speech.live.hypothesis import Hypothesis, TimedWord
from openmic.speech.live.policy import CommitPolicy, PolicyUpdate

GUARDS = (0.2, 0.5, 1.0)  # seconds before the end of the audio that the attention guard does not trust


@dataclass(slots=True)
class LocalAgreement(CommitPolicy):
    """Commits what two consecutive hypotheses begin with."""

    def update(self, hypothesis: Hypothesis, audio_end: int, endpoint: bool, behind: bool = False) -> PolicyUpdate:
        """See ``CommitPolicy.update``; all of the newest hypothesis is shown."""
        found = CommitPolicy.update(self, hypothesis, audio_end, endpoint, behind)
        return PolicyUpdate(found.committed, self.previous)

    def _stable(self, words: Sequence[TimedWord], end: float, language: str) -> tuple[TimedWord, ...]:
        pairs = zip(words, self.previous, strict=False)
        return without_marks([new for new, _ in takewhile(lambda pair: spelled(pair[0]) == spelled(pair[1]), pairs)])


@dataclass(slots=True)
class AttentionGuard(CommitPolicy):
    """Commits what does not end in the last ``guard_seconds`` of the audio."""

    guard_seconds: float = 0.5

    def update(self, hypothesis: Hypothesis, audio_end: int, endpoint: bool, behind: bool = False) -> PolicyUpdate:
        """See ``CommitPolicy.update``; nothing but commits is shown."""
        return PolicyUpdate(CommitPolicy.update(self, hypothesis, audio_end, endpoint, behind).committed, ())

    def _stable(self, words: Sequence[TimedWord], end: float, language: str) -> tuple[TimedWord, ...]:
        return without_marks(list(takewhile(lambda word: word.end <= end - self.guard_seconds, words)))


POLICIES: dict[str, Callable[[], CommitPolicy]] = {
    "LocalAgreement-2 alone": LocalAgreement,
    **{f"attention guard alone, {seconds:g} s": partial(AttentionGuard, guard_seconds=seconds) for seconds in GUARDS},
    "openmic": CommitPolicy,
}

HEAD = (
    "| policy | first seen median / p90 / max | stable median / p90 / max | committed median / p90 / max | missing % "
    "| flicker % | live WER % | CPU s per audio s |\n" + "| --- " * 8 + "|"
)


def spelled(word: TimedWord) -> str:
    """A word's letters and digits, lower case."""
    return "".join(spelled_words(word.text))


def without_marks(words: Sequence[TimedWord]) -> tuple[TimedWord, ...]:
    """The words without punctuation marks at the end that stand alone: fed back, they stop the decoder."""
    kept = list(words)
    while kept and not spelled(kept[-1]):
        kept.pop()
    return tuple(kept)


def row(name: str, found: Sequence[Quality]) -> str:
    """One line of the table, over some readings."""
    m = pooled([quality.measured for quality in found])
    seconds = sum(quality.seconds for quality in found)
    committed = Delay.of([delay for quality in found for delay in quality.committed_delays])
    spent = sum((quality.encoder_load + quality.decoder_load) * quality.seconds for quality in found)
    return (
        f"| {name} | {m.first_seen or '-'} | {m.stable or '-'} | {committed or '-'} "
        f"| {100 * m.missing / max(1, m.words):.1f} | {100 * m.flicker:.1f} | {100 * m.live_wer:.1f} "
        f"| {spent / seconds:.3f} |"
    )


def compare(
    parts: EngineParts, settings: Settings, cost: float, readings: Sequence[Reading]
) -> dict[str, list[Quality]]:
    """Print one line for each policy over all readings."""
    kept = {}
    print(HEAD)
    for name, policy in POLICIES.items():
        found = [
            assess(VirtualEngine(parts, settings, cost, reading.language, policy), reading) for reading in readings
        ]
        print(row(name, found), flush=True)
        kept[name] = found
    return kept


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policies", description=__doc__.partition("\n")[0])
    add_engine_options(parser)
    arguments = parser.parse_args()
    parts, settings = quiet_parts(arguments.model, arguments.step, arguments.threads)
    print(f"model {arguments.model}, step {arguments.step} s, pretend cost {arguments.cost} s")
    sets: dict[str, list[Reading]] = {"The joined reading": [load_reading(arguments.seconds)]}
    if arguments.seconds is None:
        sets["Single recordings"] = [join(clip.name, [clip]) for clip in single_clips()]
        sets["German"] = [german_reading()]
    kept = {}
    for title, readings in sets.items():
        seconds, count = sum(reading.seconds for reading in readings), sum(len(reading.words) for reading in readings)
        print(f"\n{title}, {seconds:.0f} s, {count} words\n")
        found = compare(parts, settings, arguments.cost, readings)
        kept[title] = {name: [asdict(quality) for quality in qualities] for name, qualities in found.items()}
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
