"""Real replicas on real Ray, one of which is killed again and again while people speak: what is lost, what grows.

A session that was cut is compared with one that nobody disturbed: the same final text, every message once, no bytes
asked for again that were acknowledged. What a kill costs is the time until live text goes on.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.corpus.reading import Reading, long_reading
from benchmarks.metrics.display import DROPPED_RUN, normalizer
from benchmarks.metrics.processes import Others
from openmic.audio.types import SAMPLE_RATE
from openmic.client import connect
from openmic.cluster.local import Cluster
from openmic.cluster.reports import Report
from openmic.errors import OpenmicError

READING_MINUTES = 0.75
PIECE_SECONDS = 0.1
STAGGER_SECONDS = 2.0
KILL_SECONDS = 60.0  # between two kills, each at a random moment of its minute
SAMPLE_SECONDS = 5.0
RETRY_SECONDS = 5.0  # after a refusal
LEASE_SECONDS = 2.0
KEEP_SECONDS = 30.0  # so that ended sessions are deleted while it runs
FINAL_SECONDS = 300.0  # the longest wait for what is left at the end
MOST_GROWTH = 0.05  # of the median memory, from the third quarter to the fourth
GROUPS = ("replicas", "Serve's proxy", "Serve's controller", "Ray", "speakers")


@dataclass(slots=True)
class Kill:
    """One fault.

    Attributes:
        at: seconds since the beginning.
        back_seconds: until all replicas were there again; None: not before the end.
    """

    at: float
    back_seconds: float | None = None


@dataclass(slots=True)
class Spoken:
    """What one client got.

    Attributes:
        counted: numbers of its commits, its final and its end, as they came.
        live, final: texts; "" where none came.
        cuts: (when its connection was lost, seconds until live text or a commit came again), of each loss.
        refused, failed: the code of an error, if any.
    """

    counted: list[int] = field(default_factory=list)
    live: str = ""
    final: str = ""
    cuts: list[tuple[float, float]] = field(default_factory=list)
    refused: str = ""
    failed: str = ""


@dataclass(slots=True)
class Soak:
    """A whole run.

    Attributes:
        undisturbed: what one got before the first kill.
        spoken: all others.
        kills: in order.
        memory: (bytes by group, in the order of ``GROUPS``), of each sample.
    """

    undisturbed: Spoken
    spoken: list[Spoken] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    memory: list[tuple[int, ...]] = field(default_factory=list)


async def speak(link: str, pcm: bytes, began: float) -> Spoken:
    """Stream the reading in real time and listen to the end."""
    told = Spoken()
    try:
        async with connect(link, encoding="pcm_s16le", sample_rate=SAMPLE_RATE, channels=1, language="en") as stream:

            async def listen() -> None:
                lost_at: float | None = None
                async for message in stream:
                    kind, now = message["type"], time.monotonic() - began
                    if kind == "connection" and message["state"] == "lost":
                        lost_at = now if lost_at is None else lost_at
                    elif kind in ("live", "commit", "final") and lost_at is not None:
                        told.cuts.append((lost_at, now - lost_at))
                        lost_at = None
                    if kind in ("commit", "final", "done"):
                        told.counted.append(message["seq"])

            listening = asyncio.create_task(listen())
            piece = round(PIECE_SECONDS * SAMPLE_RATE) * 2
            start = time.monotonic()
            for place in range(0, len(pcm), piece):
                await stream.send(pcm[place : place + piece])
                await asyncio.sleep(max(0.0, start + place / (2 * SAMPLE_RATE) + PIECE_SECONDS - time.monotonic()))
            await stream.stop()
            async with asyncio.timeout(FINAL_SECONDS):
                await listening
            if stream.result is not None:
                told.live, told.final = stream.result.live_text, stream.result.text
    except OpenmicError as error:
        if error.code == "server_full":
            told.refused = error.code
        else:
            told.failed = error.code
    except TimeoutError:
        told.failed = "no final"
    return told


def soak(minutes: float, speakers: int, model: str, replicas: int = 2, seed: int = 1) -> tuple[Soak, Reading, str]:
    """Run it.

    Returns:
        What happened, what was read, and a note on what else the machine did.
    """
    reading = long_reading(READING_MINUTES)
    with (
        tempfile.TemporaryDirectory(prefix="openmic-soak-") as folder,
        Others() as others,
        Cluster(
            replicas,
            model=model,
            data_dir=folder,
            port=0,
            tunnel="none",
            max_sessions=speakers,  # of each replica: one carries all while the other is away
            lease_seconds=LEASE_SECONDS,
            keep_seconds=KEEP_SECONDS,
        ) as cluster,
    ):
        found = asyncio.run(_soak(cluster, reading, 60.0 * minutes, speakers, replicas, random.Random(seed)))
    return found, reading, others.note


async def _soak(
    cluster: Cluster, reading: Reading, seconds: float, speakers: int, replicas: int, dice: random.Random
) -> Soak:
    pcm = reading.pcm()
    run = Soak(await speak(cluster.link, pcm, time.monotonic()))
    began = time.monotonic()

    async def again_and_again(number: int) -> None:
        await asyncio.sleep(number * STAGGER_SECONDS)
        while time.monotonic() - began < seconds:
            run.spoken.append(await speak(cluster.link, pcm, began))
            if run.spoken[-1].refused or run.spoken[-1].failed:
                await asyncio.sleep(RETRY_SECONDS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_kill(cluster, run, began, seconds, replicas, dice))
        tasks.create_task(_watch(cluster, run, began, seconds))
        for number in range(speakers):
            tasks.create_task(again_and_again(number))
    return run


async def _kill(cluster: Cluster, run: Soak, began: float, seconds: float, replicas: int, dice: random.Random) -> None:
    killed: set[int] = set()
    for minute in range(int(seconds / KILL_SECONDS)):
        at = (minute + 0.2 + 0.6 * dice.random()) * KILL_SECONDS
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        alive = await asyncio.to_thread(_alive, cluster, killed)
        if not alive:
            continue
        victim = dice.choice(alive).pid
        killed.add(victim)
        os.kill(victim, signal.SIGKILL)
        kill = Kill(time.monotonic() - began)
        run.kills.append(kill)
        await asyncio.sleep(1.0)
        while time.monotonic() - began < seconds and kill.back_seconds is None:
            if len(await asyncio.to_thread(_alive, cluster, killed)) == replicas:
                kill.back_seconds = time.monotonic() - began - kill.at
            await asyncio.sleep(0.5)


def _alive(cluster: Cluster, killed: set[int]) -> list[Report]:
    """Those at work; a killed one's process may still be there until Ray has asked how it ended."""
    return [
        report for report in cluster.replicas() if report.pid not in killed and Path(f"/proc/{report.pid}").exists()
    ]


async def _watch(cluster: Cluster, run: Soak, began: float, seconds: float) -> None:
    """Look at the memory of all processes: a full set of replicas alone is compared."""
    while time.monotonic() - began < seconds:
        run.memory.append(await asyncio.to_thread(_memory))
        await asyncio.sleep(SAMPLE_SECONDS)


def _memory() -> tuple[int, ...]:
    """Resident memory by group; what Ray calls its processes tells them apart."""
    groups = dict.fromkeys(GROUPS, 0)
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        try:
            name, memory = " ".join(process.cmdline()[:1]), process.memory_info().rss
        except psutil.Error:
            continue
        groups[_group(process.pid, name)] += memory
    return tuple(groups.values())


def _group(pid: int, name: str) -> str:
    if pid == os.getpid():
        return "speakers"
    for part, group in (
        ("ServeReplica", "replicas"),
        ("decoder_child", "replicas"),
        ("ProxyActor", "Serve's proxy"),
        ("ServeController", "Serve's controller"),
    ):
        if part in name:
            return group
    return "Ray"


def lost_and_repeated(reference: str, heard: str) -> tuple[int, int]:
    """Words left out and words added, in runs of at least ``DROPPED_RUN``: fewer are misheard."""
    spoken, found = normalizer("en")(reference).split(), normalizer("en")(heard).split()
    lost = added = 0
    matcher = difflib.SequenceMatcher(None, spoken, found, autojunk=False)
    for _, begin, end, found_begin, found_end in matcher.get_opcodes():
        more = (found_end - found_begin) - (end - begin)
        lost += -more if more <= -DROPPED_RUN else 0
        added += more if more >= DROPPED_RUN else 0
    return lost, added


def rows_of(run: Soak, reading: Reading) -> Iterator[list[str]]:
    """Cells of the table of faults: undisturbed sessions, and those that were cut."""
    served = [one for one in run.spoken if not one.refused]
    for what, sessions in (
        ("nobody disturbs them", [run.undisturbed, *(one for one in served if not one.cuts)]),
        ("their replica is killed", [one for one in served if one.cuts]),
    ):
        runs = [lost_and_repeated(reading.text, one.live) for one in sessions if one.final]
        waits = [wait for one in sessions for _, wait in one.cuts]
        yield [
            what,
            str(len(sessions)),
            str(len(waits)),
            str(sum(1 for one in sessions if not one.final)),
            str(sum(1 for one in sessions if one.final and one.final != run.undisturbed.final)),
            str(sum(1 for one in sessions if one.counted != [*range(1, len(one.counted) + 1)])),
            str(sum(lost for lost, _ in runs)),
            str(sum(added for _, added in runs)),
            f"{statistics.median(waits):.1f} / {max(waits):.1f}" if waits else "-",
        ]


FAULTS = (
    "sessions",
    "how many",
    "connections lost",
    "without a final",
    "with another final",
    "counted wrongly",
    "words lost in live text",
    "told twice",
    "live text goes on after s, median / max",
)


def nothing_lost(run: Soak) -> bool:
    """Whether everybody who was let in got the final text of one whom nobody disturbed, and everything once."""
    served = [run.undisturbed, *(one for one in run.spoken if not one.refused)]
    return all(
        one.final == run.undisturbed.final != "" and one.counted == [*range(1, len(one.counted) + 1)] for one in served
    )


def memory_rows(samples: Sequence[tuple[int, ...]]) -> list[list[str]]:
    """Cells of the table of memory: the median of each quarter of the time, by group and of all."""
    rows = [
        [group, *(f"{value / 1e6:.0f}" for value in _quarters([sample[place] for sample in samples]))]
        for place, group in enumerate(GROUPS)
    ]
    return [*rows, ["all", *(f"{value / 1e6:.0f}" for value in _quarters([sum(sample) for sample in samples]))]]


def growth(samples: Sequence[tuple[int, ...]]) -> float:
    """Of all memory, from the third quarter to the fourth; a part of it."""
    quarters = _quarters([sum(sample) for sample in samples])
    return quarters[3] / quarters[2] - 1.0


def _quarters(values: Sequence[float]) -> list[float]:
    size = max(1, len(values) // 4)
    return [statistics.median(values[min(place, len(values) - 1) :][:size]) for place in range(0, 4 * size, size)]
