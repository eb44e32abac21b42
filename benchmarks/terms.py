"""Are names and terms spelled as the client asked? Live and final, with and without a vocabulary.

    python -m benchmarks.terms [--model base] [--counts 0,10,50,200] [--quiet-seconds 60] [--other-seconds 120]

Sentences with invented and rare names, spoken by a synthetic voice, go through voice activity, the live pass in virtual
time and the final pass. ``--counts`` are the numbers of terms in the vocabulary; in each session ten of them
are said. Then the vocabularies are there while nobody speaks, and while others speak who say none of them.

Recall: of all terms that were said, those that stand in the text letter for letter. Other words: the WER of all words
that belong to no term. False: terms in the text that nobody said. Step: processor time of a live step on average.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import jiwer

from benchmarks.corpus.reading import available_clips, clips_of, joined_samples
from benchmarks.corpus.sounds import SOUNDS
from benchmarks.corpus.terms import GROUPS, OTHERS, sessions, terms_in, vocabulary
from benchmarks.corpus.words import words
from benchmarks.live_quality import quiet_parts
from benchmarks.metrics.display import Display, changed_words, settled
from benchmarks.simulated.virtual import GrowingRecording, VirtualEngine
from openmic.audio.types import Samples
from openmic.settings import Settings
from openmic.speech.engine.thread import EngineParts
from openmic.speech.types import CommittedText, LiveText, Term

COST_SECONDS = 0.3  # pretended, of a step
EVERY_TERM = (*(term for group in GROUPS for sentence in group for term in terms_in(sentence)), *OTHERS)
HEAD = (
    "| terms | recall live % | recall final % | other words' WER live % | final % | false live | false final "
    "| flicker % | step CPU s |\n" + "| --- " * 9 + "|"
)


@dataclass(slots=True)
class Score:
    """What was counted over several sessions; ``live`` and ``final`` in each pair."""

    said: int = 0
    other_words: int = 0
    recalled: list[int] = field(default_factory=lambda: [0, 0])
    wrong: list[int] = field(default_factory=lambda: [0, 0])
    false: list[int] = field(default_factory=lambda: [0, 0])
    changed: int = 0
    steps: int = 0
    step_seconds: float = 0.0
    texts: list[tuple[str, str]] = field(default_factory=list)

    def row(self, count: int) -> str:
        """One line of the table."""
        recall = [f"{100 * found / self.said:.0f}" if self.said else "-" for found in self.recalled]
        wer = [f"{100 * wrong / self.other_words:.1f}" if self.other_words else "-" for wrong in self.wrong]
        flicker = f"{100 * self.changed / self.other_words:.1f}" if self.other_words else "-"
        cells = [count, *recall, *wer, *self.false, flicker, f"{self.step_seconds / max(1, self.steps):.3f}"]
        return f"| {' | '.join(map(str, cells))} |"


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a recording: committed text, final text, how many shown words were changed."""

    live: str
    final: str
    changed: int


def play(parts: EngineParts, settings: Settings, samples: Samples, terms: Sequence[str], score: Score) -> Played:
    """Stream a recording with a vocabulary; the cost is added to ``score``."""
    virtual = VirtualEngine(parts, settings, COST_SECONDS, "en", vocabulary=tuple(Term(term) for term in terms))
    display = Display()
    live = ""
    for told in virtual.play(GrowingRecording(samples)):
        match told.event:
            case CommittedText(text):
                live += text
                display.commit(told.at, text)
            case LiveText(text):
                display.live(told.at, text)
    score.steps += virtual.work.steps
    score.step_seconds += virtual.work.whole
    changed = changed_words([words(shown.text) for shown in settled(display.history)])
    return Played(live, virtual.final().text, changed)


def add(score: Score, played: Played, text: str, said: Sequence[str]) -> None:
    """Compare what became of a recording with its text and the terms in it."""
    of_terms = {word for term in said for word in words(term)}
    score.said += len(said)
    score.other_words += sum(word not in of_terms for word in words(text))
    score.changed += played.changed
    for place, found in enumerate((played.live, played.final)):
        score.recalled[place] += sum((counted(found, said) & Counter(said)).values())
        score.wrong[place] += wrong_words(text, found, of_terms)
        score.false[place] += sum((counted(found, EVERY_TERM) - counted(text, EVERY_TERM)).values())
    score.texts.append((played.live, played.final))


def counted(text: str, terms: Sequence[str]) -> Counter[str]:
    """How often each term stands in the text, as its letters are."""
    spoken = f" {' '.join(words(text))} "
    return Counter({term: spoken.count(f" {' '.join(words(term))} ") for term in terms})


def wrong_words(text: str, found: str, of_terms: set[str]) -> int:
    """Words that belong to no term and are wrong, left out, or put in where no term stands beside them."""
    reference, heard = words(text), words(found)
    if not reference or not heard:
        return len(heard) + sum(word not in of_terms for word in reference)
    errors = 0
    for chunk in jiwer.process_words(" ".join(reference), " ".join(heard)).alignments[0]:
        begin, end = chunk.ref_start_idx, chunk.ref_end_idx
        if chunk.type in ("substitute", "delete"):
            errors += sum(word not in of_terms for word in reference[begin:end])
        elif chunk.type == "insert" and not of_terms & set(reference[max(0, begin - 1) : begin + 1]):
            errors += chunk.hyp_end_idx - chunk.hyp_start_idx
    return errors


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.terms", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--counts", default="0,10,50,200", help="numbers of terms, separated by commas")
    parser.add_argument("--quiet-seconds", type=float, default=60.0, help="of each sound without speech; 0: none")
    parser.add_argument("--other-seconds", type=float, default=120.0, help="of speech without the terms; 0: none")
    parser.add_argument("--show", action="store_true", help="print the texts")
    arguments = parser.parse_args()
    parts, settings = quiet_parts(arguments.model, 0.5, 1)
    counts = [int(count) for count in arguments.counts.split(",")]
    spoken = sessions()
    name, clips = available_clips()
    print(f"### {len(spoken)} sessions with terms\n\n{HEAD}", flush=True)
    for count in counts:
        score = Score()
        for session in spoken:
            terms = vocabulary(session, count) if count else ()
            add(score, play(parts, settings, session.samples, terms, score), session.text, session.terms)
        print(score.row(count), flush=True)
        for texts in score.texts if arguments.show else ():
            print(*texts, sep="\n")
    if arguments.other_seconds:
        chosen = clips_of(clips, arguments.other_seconds)
        samples, text = joined_samples(chosen), " ".join(clip.text for clip in chosen)
        print(f"\n### {len(samples) / 16_000:.0f} s of speech without the terms ({name})\n\n{HEAD}", flush=True)
        for count in counts:
            score = Score()
            terms = vocabulary(spoken[0], count) if count else ()
            add(score, play(parts, settings, samples, terms, score), text, ())
            print(score.row(count), flush=True)
    if arguments.quiet_seconds:
        print(
            f"\n### {arguments.quiet_seconds:g} s of each sound without speech\n\n| sound | live | final |\n"
            + "| --- " * 3
            + "|"
        )
        for sound, make in SOUNDS.items():
            played = play(parts, settings, make(arguments.quiet_seconds), vocabulary(spoken[0], max(counts)), Score())
            print(f"| {sound} | {played.live.strip() or 0} | {played.final.strip() or 0} |", flush=True)


if __name__ == "__main__":
    main()
