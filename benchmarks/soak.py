"""The largest number of sessions for a long while: memory, open files and threads must be flat, and every final there.

    python -m benchmarks.soak [--minutes 20] [--sessions N] [--model base]

Each speaker streams the reading at the speed of speech, gets the final, and begins again, until the time is over.
Without ``--sessions`` as many speak as the service measured for this machine at its start (its metric
``openmic_capacity_sessions``). Exit status 1 if memory grows by more than ``MOST_GROWTH`` of itself over the second
half, if files or threads grow, or if a session ended without its final.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import secrets
import statistics
import sys
import time
import urllib.request
from dataclasses import dataclass

import psutil

from benchmarks.corpus.reading import Reading, load_reading
from benchmarks.corpus.recordings import ROOT
from benchmarks.metrics.display import word_error_rate
from benchmarks.metrics.processes import Others, ProcessTree
from benchmarks.metrics.report import machine
from benchmarks.realtime.rounds import STAGGER_SECONDS
from benchmarks.realtime.service import Service, Stream, service, stream

SAMPLE_SECONDS = 5.0
MOST_GROWTH = 0.05  # of the median memory, from the third quarter to the fourth
MOST_HANDLES = 8  # files or threads more in the fourth quarter than in the third: a session more or less at the moment
READING_SECONDS = 45.0
RETRY_SECONDS = 10.0  # after a refusal
KEEP_SECONDS = 30  # so that ended sessions are deleted while it runs, as they are in a long life


@dataclass(frozen=True, slots=True)
class Sample:
    """The service's process at one moment."""

    at: float
    memory_bytes: int
    files: int
    threads: int


def capacity(running: Service, owner_token: str) -> int:
    """How many sessions the service says that this machine can keep up with; 1 where it says nothing."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.port}/metrics", headers={"Authorization": f"Bearer {owner_token}"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        found = re.search(r"^openmic_capacity_sessions (\S+)$", answer.read().decode(), re.M)
    return max(1, int(float(found[1]))) if found else 1


async def watch(pid: int, until: float) -> list[Sample]:
    """Look at the process every ``SAMPLE_SECONDS``."""
    process, samples = psutil.Process(pid), list[Sample]()
    while time.monotonic() < until:
        memory = process.memory_info().rss
        samples.append(Sample(time.monotonic(), memory, process.num_fds(), process.num_threads()))
        await asyncio.sleep(SAMPLE_SECONDS)
    return samples


async def speaker(number: int, running: Service, reading: Reading, until: float) -> list[Stream]:
    """Speak again and again."""
    await asyncio.sleep(number * STAGGER_SECONDS)
    seen = []
    while time.monotonic() < until:
        seen.append(await stream(running, reading.pcm(), "en"))
        if seen[-1].refused is not None:
            await asyncio.sleep(RETRY_SECONDS)
    return seen


async def soak(running: Service, reading: Reading, sessions: int, minutes: float) -> tuple[list[Sample], list[Stream]]:
    """All speakers and the watch."""
    until = time.monotonic() + 60 * minutes
    watching = asyncio.create_task(watch(running.pid, until))
    spoken = await asyncio.gather(*(speaker(number, running, reading, until) for number in range(sessions)))
    return await watching, [one for streams in spoken for one in streams]


def quarters(samples: list[Sample], name: str) -> list[float]:
    """The median of a figure in each quarter of the time."""
    values = [float(getattr(sample, name)) for sample in samples]
    size = max(1, len(values) // 4)
    return [statistics.median(values[place : place + size]) for place in range(0, 4 * size, size)]


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument(
        "--sessions", type=int, help="how many speak at once; left out: as many as the service measured"
    )
    parser.add_argument("--model", default="base")
    arguments = parser.parse_args()
    reading, owner_token = load_reading(READING_SECONDS), secrets.token_urlsafe(24)
    settings = {"owner_token": owner_token, "keep_seconds": str(KEEP_SECONDS), "max_sessions": "64"}
    with Others() as others, service(arguments.model, ROOT, **settings) as running, ProcessTree(running.pid) as tree:
        sessions = arguments.sessions or capacity(running, owner_token)
        print(f"{sessions} sessions, {arguments.minutes:g} min; model {arguments.model}; {machine()}", flush=True)
        samples, streams = asyncio.run(soak(running, reading, sessions, arguments.minutes))
    memory, files, threads = (quarters(samples, name) for name in ("memory_bytes", "files", "threads"))
    served = [one for one in streams if one.refused is None]
    finals = [one for one in served if one.final is not None]
    print("| | first quarter | second | third | fourth |\n| --- | --- | --- | --- | --- |")
    print("| memory MB | " + " | ".join(f"{value / 1e6:.0f}" for value in memory) + " |")
    print("| open files | " + " | ".join(f"{value:.0f}" for value in files) + " |")
    print("| threads | " + " | ".join(f"{value:.0f}" for value in threads) + " |")
    wrong = statistics.mean(word_error_rate(reading.text, one.final or "") for one in finals) if finals else 1.0
    refused = len(streams) - len(served)
    print(f"{len(streams)} streams, {len(finals)} finals, {refused} refused; final WER {100 * wrong:.1f} %", end="; ")
    print(f"peak memory {tree.peak_bytes / 1e6:.0f} MB; {others.note}")
    grown = (memory[3] - memory[2]) / memory[2]
    flat = grown <= MOST_GROWTH and files[3] - files[2] <= MOST_HANDLES and threads[3] - threads[2] <= MOST_HANDLES
    print(f"memory {100 * grown:+.1f} % from the third quarter to the fourth: {'flat' if flat else 'NOT flat'}")
    return 0 if flat and finals and len(finals) == len(served) else 1


if __name__ == "__main__":
    sys.exit(main())
