"""Damaged recordings by the thousand into the audio decoder: none may crash it, hang it, or fill the memory.

    python -m benchmarks.fuzz_audio [--mutants 10000] [--seed 0]

Bombs come first: small files that are not damaged, but claim much. Each goes through the decoding processes of a
service, and what service and process take at their peak, beyond what they had, must stay under ``BOMB_BYTES``.

Each mutant is one of the tests' recordings (every container that a client may send) with bytes flipped, cut out,
doubled, moved in from another, or lengths made huge. A worker process with bounded memory decodes one after the other;
the parent waits for each no longer than ``HANG_SECONDS``. Exit status 1 if one got through.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import selectors
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.corpus.recordings import ROOT
from openmic.audio.decoder import AudioFormat, decode
from openmic.audio.decoder_processes import DecoderProcesses
from openmic.audio.types import SAMPLE_RATE
from openmic.errors import OpenmicError
from tests.support.bombs import BOMBS
from tests.support.media import CONTAINERS, Whole, read_wav
from tests.support.processes import Peak

HANG_SECONDS = 30.0  # for one mutant of some two seconds of sound
MEMORY_BYTES = 3 * 2**30  # of the worker's address space, the libraries' own included
BOMB_BYTES = 100_000_000  # that a service may take for one bomb, its decoding process included
CLIP_SECONDS = 2.0
MOST_SECONDS = 600.0  # of sound out of one mutant; a session ends at its own limit


@dataclass(frozen=True, slots=True)
class BombOutcome:
    """What became of one bomb.

    Attributes:
        name: what it is.
        sent_bytes: its size.
        peak_bytes: what the service took for it, with its decoding process.
        sound_seconds: that came out of it.
        end: ``decoded``, or a problem's code.
    """

    name: str
    sent_bytes: int
    peak_bytes: int
    sound_seconds: float
    end: str


def bombs() -> list[BombOutcome]:
    """Put each bomb through a service's decoding processes, one after another."""
    outcomes = []
    with DecoderProcesses() as processes:
        list(processes.decode(Whole(corpus()[0]), AudioFormat()))  # what is loaded at first use is no bomb's
        assert processes.pid is not None
        for name, make in BOMBS.items():
            data, samples, end = make(), 0, "decoded"
            with Peak(os.getpid(), processes.pid) as peak:
                try:
                    for piece in processes.decode(Whole(data), AudioFormat()):
                        samples += len(piece)
                        if samples > MOST_SECONDS * SAMPLE_RATE:
                            end = "longer_than_allowed"
                            break
                except OpenmicError as error:
                    end = error.code
            outcomes.append(BombOutcome(name, len(data), peak.more_bytes, samples / SAMPLE_RATE, end))
    return outcomes


@dataclass(slots=True)
class Outcome:
    """What became of the mutants.

    Attributes:
        ends: how often each end was met: ``decoded``, or a problem's code.
        failures: mutants that got through, by number, and how.
        peak_bytes: the worker's largest resident memory.
        slowest_seconds: of one mutant.
    """

    ends: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    peak_bytes: int = 0
    slowest_seconds: float = 0.0


def corpus() -> list[bytes]:
    """The undamaged recordings."""
    sound = read_wav(ROOT / "sample_audio" / "quickstart.wav")[: int(CLIP_SECONDS * SAMPLE_RATE)]
    return [make(sound) for make in CONTAINERS.values()]


def mutant(recordings: list[bytes], seed: int) -> bytes:
    """One damaged recording; the same for the same seed."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(recordings))
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(min(len(data), 400)) if chance.random() < 0.5 else chance.randrange(len(data))
        size = chance.choice((1, 2, 4, 8, 64, 1024))
        match chance.randrange(8):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at : at + size] = chance.randbytes(size)
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size]
            case 4:
                data[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\x01\xff"))
            case 5:
                del data[at:]
            case 6:
                other = chance.choice(recordings)
                begin = chance.randrange(len(other))
                data[at : at + size] = other[begin : begin + size]
            case _:
                data[at:at] = chance.randbytes(size)
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


def peak_resident_bytes() -> int:
    """The most that this program had in memory. ``getrusage`` also counts what its parent had when it started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def worker(first: int, mutants: int, seed: int) -> None:
    """Decode mutants ``first`` to ``mutants``; one line before each, one behind."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    recordings = corpus()
    for number in range(first, mutants):
        print(json.dumps({"begins": number}), flush=True)
        samples, end = 0, "decoded"
        data = mutant(recordings, seed * 1_000_003 + number)
        try:
            for piece in decode(Whole(data, number, largest=65_536), AudioFormat()):
                assert piece.dtype == np.float32
                assert piece.ndim == 1
                samples += len(piece)
                if samples > MOST_SECONDS * SAMPLE_RATE:
                    end = "longer_than_allowed"
                    break
        except OpenmicError as error:
            end = error.code
        peak = peak_resident_bytes()
        print(json.dumps({"ended": number, "end": end, "peak": peak}), flush=True)


def run(mutants: int, seed: int = 0) -> Outcome:
    """Put all of them through workers; a worker that fails is replaced by one that goes on behind that mutant."""
    outcome, number = Outcome(), 0
    while number < mutants:
        number = _one_worker(outcome, number, mutants, seed)
    return outcome


def _one_worker(outcome: Outcome, first: int, mutants: int, seed: int) -> int:
    command = [sys.executable, "-m", "benchmarks.fuzz_audio", "--worker", str(first)]
    command += ["--mutants", str(mutants), "--seed", str(seed)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    number, began = first, time.monotonic()
    with process, selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        while True:
            line = process.stdout.readline() if waiting.select(HANG_SECONDS) else None
            if line is None:
                process.kill()
                outcome.failures[number] = f"no end within {HANG_SECONDS:.0f} s"
                return number + 1
            if not line:
                break
            told = json.loads(line)
            if "begins" in told:
                number, began = told["begins"], time.monotonic()
                continue
            outcome.ends[told["end"]] += 1
            outcome.peak_bytes = max(outcome.peak_bytes, told["peak"])
            outcome.slowest_seconds = max(outcome.slowest_seconds, time.monotonic() - began)
        complaint = process.stderr.read().decode(errors="replace") if process.stderr is not None else ""
        if process.wait() == 0:
            return mutants
        last = complaint.strip().splitlines()[-1:] or [f"exit status {process.returncode}"]
        outcome.failures[number] = last[0]
        return number + 1


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_audio", description=__doc__.partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", type=int, metavar="FIRST", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        worker(arguments.worker, arguments.mutants, arguments.seed)
        return 0
    began = time.monotonic()
    burst = 0
    for bomb in bombs():
        peak_mb = f"{bomb.peak_bytes / 1e6:.0f} MB"
        print(f"{bomb.name}: {bomb.sent_bytes} bytes, peak {peak_mb}, {bomb.sound_seconds:.1f} s of sound, {bomb.end}")
        burst += bomb.peak_bytes >= BOMB_BYTES
    outcome = run(arguments.mutants, arguments.seed)
    print(f"{arguments.mutants} mutants of {len(CONTAINERS)} containers in {time.monotonic() - began:.0f} s")
    for end, count in outcome.ends.most_common():
        print(f"  {count:6}  {end}")
    print(f"slowest {outcome.slowest_seconds:.1f} s, peak memory {outcome.peak_bytes / 2**20:.0f} MiB")
    print(f"{len(outcome.failures)} crashed, hung or raised")
    for number, how in outcome.failures.items():
        print(f"  mutant {number}: {how}")
    return 1 if outcome.failures or burst else 0


if __name__ == "__main__":
    sys.exit(main())
