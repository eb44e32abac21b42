"""The live benchmark: real time, a real server, a real WebSocket; openmic beside batch transcription and its peers.

    python -m benchmarks.live [--seconds N] [--sessions 1,2,4,8] [--peers NAME,...] [--skip-batch] [--output DIR]
    python -m benchmarks.live --sessions 1 --step-seconds 1

Prints one table while it goes, then how the sessions of each round fared one by one; leaves ``live.json`` in DIR, and
``delay_over_time.png`` and ``delay_over_sessions.png`` there or in ``--pictures``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.corpus.reading import Reading, load_reading
from benchmarks.corpus.recordings import ROOT
from benchmarks.metrics import plots
from benchmarks.metrics.display import word_error_rate
from benchmarks.metrics.report import Row, Table, machine, print_spreads, write_json
from benchmarks.peers import batch
from benchmarks.peers.environments import NotInstalled
from benchmarks.peers.servers import PEERS
from benchmarks.realtime.rounds import run_round
from benchmarks.realtime.service import service, stream
from openmic.audio import write_wav

DEFAULT_OUTPUT = Path("artifacts/benchmarks")


def main() -> None:
    """Run and print."""
    arguments = _parser().parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    reading = load_reading(arguments.seconds)
    step = f", a step every {arguments.step_seconds:g} s" if arguments.step_seconds else ""
    what = f"{reading.name}, {reading.seconds:.0f} s, {len(reading.words)} words; model {arguments.model}{step}"
    title = f"{what}; {machine()}"
    table = Table()
    table.begin(title)
    plain_cost = None
    if not arguments.skip_batch:
        plain_cost = run_batch(table, reading, arguments.model, arguments.language)
    counts = [int(count) for count in arguments.sessions.split(",") if count]
    rows = run_openmic(table, reading, arguments.model, arguments.language, counts, plain_cost, arguments.step_seconds)
    for name in filter(None, arguments.peers.split(",")):
        table.add(PEERS[name].run(reading, arguments.language, plain_cost))
    print_spreads(rows)
    write_json(arguments.output / "live.json", title, table.rows)
    pictures = arguments.pictures or arguments.output
    pictures.mkdir(parents=True, exist_ok=True)
    plots.delay_over_time(pictures / "delay_over_time.png", [row for row in table.rows if row.sessions == 1])
    plots.delay_over_sessions(pictures / "delay_over_sessions.png", rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, help="only about so much of the reading")
    parser.add_argument(
        "--sessions", default="1,2,4,8,16,32", help="how many at once, one round each; ends at a refusal"
    )
    parser.add_argument("--peers", default="", help=f"any of {','.join(PEERS)}")
    parser.add_argument("--skip-batch", action="store_true", help="no batch transcriptions, so no cost ratio")
    parser.add_argument("--step-seconds", type=float, help="new audio after which openmic's server steps")
    parser.add_argument("--model", default="base")
    parser.add_argument("--language", default="en", help="told to everyone; empty: each detects it")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="another folder for the pictures")
    return parser


def run_batch(table: Table, reading: Reading, model: str, language: str) -> float:
    """The batch transcriptions; gives openai-whisper's processor seconds per second of audio."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reading.wav"
        write_wav(file, [reading.samples])
        plain = batch.openai_whisper(file, model, language)
        cost = plain.cpu_seconds / reading.seconds
        table.add(batch_row("batch: openai-whisper greedy", reading, plain, cost))
        if model == "base":
            table.add(
                tried(
                    "batch: faster-whisper int8 greedy",
                    lambda name: batch_row(name, reading, batch.faster_whisper(file, language), cost),
                )
            )
    return cost


def run_openmic(
    table: Table,
    reading: Reading,
    model: str,
    language: str,
    counts: list[int],
    plain_cost: float | None,
    step_seconds: float | None = None,
) -> list[Row]:
    """openmic with more and more sessions, until it refuses one."""
    rows: list[Row] = []
    if not counts:
        return rows
    settings = {"live_step_seconds": str(step_seconds)} if step_seconds else {}
    with service(model, ROOT, **settings) as running:
        for count in counts:
            row = run_round(
                "openmic",
                reading,
                count,
                lambda: stream(running, reading.pcm(), language),
                running.pid,
                plain_cost,
            )
            table.add(row)
            rows.append(row)
            if row.spread is not None and row.spread.refused:
                break
    return rows


def batch_row(name: str, reading: Reading, result: batch.BatchResult, plain_cost: float) -> Row:
    """A transcription after the fact as a row: it has no live text."""
    cost = result.cpu_seconds / reading.seconds
    return Row(
        name,
        final_wer=word_error_rate(reading.text, result.text),
        time_to_final=result.seconds,
        cpu_per_second=cost,
        cost_ratio=cost / plain_cost,
        peak_bytes=result.peak_bytes,
        note=result.note,
    )


def tried(name: str, run: Callable[[str], Row]) -> Row:
    """A contender's row, or a row that says why it does not run here."""
    try:
        return run(name)
    except (NotInstalled, batch.NotRun) as failure:
        return Row(name, note=f"does not run here: {failure}")


if __name__ == "__main__":
    main()
