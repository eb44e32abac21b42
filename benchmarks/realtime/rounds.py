"""One round of the live benchmark: some sessions against one server, and their figures as a row."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from benchmarks.corpus.reading import Reading
from benchmarks.metrics.display import Delay, Measured, measure, word_error_rate
from benchmarks.metrics.processes import Others, ProcessTree
from benchmarks.metrics.report import Gap, Row, Spread
from benchmarks.realtime.service import Stream

AROUND_SECONDS = (3.0, 8.0)  # before and after a gap: the displays that are kept of it
DISPLAY_LETTERS = 160  # of the end of a display
STAGGER_SECONDS = 0.83  # between the beginnings of two sessions: people do not begin at the same moment

Client = Callable[[], Awaitable[Stream]]


def run_round(
    name: str, reading: Reading, sessions: int, client: Client, server_pid: int, plain_cost: float | None
) -> Row:
    """Let ``sessions`` clients stream the reading at once and measure them.

    Args:
        name: of the contender.
        reading: what each streams.
        sessions: how many.
        client: one stream.
        server_pid: whose processor seconds and memory count.
        plain_cost: processor seconds per second of audio of plain ``whisper.transcribe``, where it is known.
    """
    with ProcessTree(server_pid) as tree, Others() as others:
        before = tree.cpu_seconds()
        streams = asyncio.run(_all_at_once(client, sessions))
        spent = tree.cpu_seconds() - before
    served = [stream for stream in streams if stream.refused is None]
    cost = spent / (reading.seconds * len(served)) if served else None
    label = name if sessions == 1 else f"{name}, {sessions} sessions"
    notes = []
    if len(served) < sessions:
        reasons = sorted({stream.refused for stream in streams if stream.refused is not None})
        notes.append(f"{sessions - len(served)} refused: {'; '.join(reasons)}")
    if others.note:
        notes.append(others.note)
    for code in sorted({code for stream in served for code in stream.warnings}):
        notes.append(f"{sum(code in stream.warnings for stream in served)} told {code}")
    without_final = sum(stream.final is None for stream in served)
    if without_final:
        notes.append(f"{without_final} without a final")
    if not served:
        return Row(label, sessions, note="; ".join(notes), spread=Spread(0, sessions))
    return _row(label, sessions, reading, served, cost, plain_cost, tree.peak_bytes, "; ".join(notes))


def _row(
    label: str,
    sessions: int,
    reading: Reading,
    served: Sequence[Stream],
    cost: float | None,
    plain_cost: float | None,
    peak_bytes: int,
    note: str,
) -> Row:
    measured = [measure(s.history, reading.words, reading.text, s.audio_end, reading.language) for s in served]
    finals = [word_error_rate(reading.text, s.final, reading.language) for s in served if s.final is not None]
    waits = [s.time_to_final for s in served if s.final is not None]
    return Row(
        name=label,
        sessions=sessions,
        first_seen=Delay.of([delay for m in measured for delay in m.first_seen_delays]),
        stable=Delay.of([delay for m in measured for _, delay in m.stable_by_word]),
        missing=sum(m.missing for m in measured) / sum(m.words for m in measured),
        flicker=_mean([m.flicker for m in measured]),
        live_wer=_mean([m.live_wer for m in measured]),
        final_wer=_mean(finals) if finals else None,
        time_to_final=max(waits, default=None),
        cpu_per_second=cost,
        cost_ratio=cost / plain_cost if cost is not None and plain_cost else None,
        peak_bytes=peak_bytes,
        note=note,
        stable_by_word=longest(measured).stable_by_word,
        spread=Spread(
            served=len(served),
            refused=sessions - len(served),
            dropped=sum(m.dropped for m in measured),
            stable_p90=max((m.stable.p90 for m in measured if m.stable), default=None),
            missing=max(m.missing / max(1, m.words) for m in measured),
            live_wer=max(m.live_wer for m in measured),
            final_wer=max(finals, default=None),
            first_final=min(waits, default=None),
            last_final=max(waits, default=None),
        ),
        gaps=tuple(_gap(s, at, words) for s, m in zip(served, measured, strict=True) for at, words in m.gaps),
    )


def _gap(stream: Stream, at: float, words: str) -> Gap:
    before, after = AROUND_SECONDS
    around = [shown for shown in stream.history if at - before <= shown.at <= at + after]
    return Gap(at, words, tuple((round(shown.at, 2), shown.text[-DISPLAY_LETTERS:]) for shown in around))


def longest(measured: Sequence[Measured]) -> Measured:
    """The session that had to wait most; the plot over time shows this one."""
    return max(measured, key=lambda m: m.stable.p90 if m.stable else 0.0)


async def _all_at_once(client: Client, sessions: int) -> list[Stream]:
    async def one(number: int) -> Stream:
        await asyncio.sleep(number * STAGGER_SECONDS)
        return await client()

    return list(await asyncio.gather(*(one(number) for number in range(sessions))))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
