"""As many speakers as a machine was measured to carry, while another program takes a part of it.

    python -m benchmarks.busy [--sessions 4] [--cores 0.5] [--seconds 60] [--against COMMIT]

A program that works for ``--cores`` of a core is started once the service is ready, so the service has measured the
machine without it. What others take already counts; what they take beyond it stands beside the figures. With
``--against`` the code of another commit serves the same speakers first, in the same run. Exit status 1 if this code's
delays are above ``MOST_P90_SECONDS`` or ``MOST_SECONDS``, words are dropped or a final is missing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.corpus.reading import Reading, load_reading
from benchmarks.corpus.recordings import ROOT
from benchmarks.metrics.report import Row, Table, machine, print_spreads
from benchmarks.realtime.other_load import other_load
from benchmarks.realtime.rounds import run_round
from benchmarks.realtime.service import service, stream

MOST_P90_SECONDS, MOST_SECONDS = 3.0, 6.0  # stable delay of all words of all speakers


def check_out(commit: str, folder: Path) -> None:
    """Put the code of a commit into a folder."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)


def serve(name: str, root: Path, reading: Reading, arguments: argparse.Namespace) -> Row:
    """One round: the service of a checkout, all speakers, and the other program."""
    with service(arguments.model, root, max_sessions=str(arguments.sessions)) as running, other_load(arguments.cores):
        return run_round(
            f"{name}, load average {os.getloadavg()[0]:.1f}",
            reading,
            arguments.sessions,
            lambda: stream(running, reading.pcm(), "en"),
            running.pid,
            None,
        )


def good(row: Row) -> bool:
    """Whether live text stayed live and nobody lost anything."""
    if row.stable is None or row.spread is None or row.spread.refused or "without a final" in row.note:
        return False
    in_time = row.stable.p90 <= MOST_P90_SECONDS and row.stable.max <= MOST_SECONDS
    return in_time and row.spread.dropped == 0


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.busy", description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--cores", type=float, default=0.5, help="that the other program takes")
    parser.add_argument("--seconds", type=float, default=60.0, help="about so much of the reading")
    parser.add_argument("--against", metavar="COMMIT", help="whose code serves first, for comparison")
    parser.add_argument("--model", default="base")
    arguments = parser.parse_args()
    reading = load_reading(arguments.seconds)
    table = Table()
    table.begin(
        f"{reading.name}, {reading.seconds:.0f} s; model {arguments.model}; "
        f"another program takes {arguments.cores:g} of a core; {machine()}"
    )
    rows = []
    if arguments.against:
        with tempfile.TemporaryDirectory(prefix="openmic-benchmark-") as folder:
            check_out(arguments.against, Path(folder))
            rows.append(serve(arguments.against, Path(folder), reading, arguments))
            table.add(rows[-1])
    rows.append(serve("openmic", ROOT, reading, arguments))
    table.add(rows[-1])
    print_spreads(rows)
    return 0 if good(rows[-1]) else 1


if __name__ == "__main__":
    sys.exit(main())
