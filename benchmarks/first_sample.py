"""How much later is the first sample of a container that is decoded in a process of its own?

    python -m benchmarks.first_sample [--rounds 20]

The tests' recordings, in each container that a client may send. A stream is opened, and a client's bytes come
``WAIT_SECONDS`` later, as of somebody who begins to speak once the service is ready; measured is from then on. Both
ways in turns, so that what else runs on the machine slows both; the least of all rounds is what it disturbed least.
Also: the memory of the program that forks, and of a fork.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from benchmarks.corpus.recordings import ROOT
from benchmarks.metrics.report import machine
from openmic.audio.decoder import AudioFormat, decode
from openmic.audio.decoder_processes import DecoderProcesses
from openmic.audio.types import ByteSource, Samples
from tests.support.media import CONTAINERS, RATE, Whole, read_wav
from tests.support.processes import children, memory_bytes

WAIT_SECONDS = 0.2
CLIP_SECONDS = 2.0
Decode = Callable[[ByteSource, AudioFormat], Iterator[Samples]]


class Later(Whole):
    """A file whose first byte is waited for."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.there = threading.Event()

    def read(self, size: int) -> bytes:
        """See ``ByteSource.read``."""
        self.there.wait()
        return super().read(size)


def first_sample_ms(way: Decode, data: bytes) -> float:
    """Milliseconds from a stream's first byte to its first sample."""
    source = Later(data)
    ready = threading.Event()
    pieces = way(source, AudioFormat())
    got: list[float] = []

    def follow() -> None:
        ready.set()
        next(pieces)
        got.append(time.perf_counter())

    thread = threading.Thread(target=follow)
    thread.start()
    ready.wait()
    time.sleep(WAIT_SECONDS)
    began = time.perf_counter()
    source.there.set()
    thread.join()
    pieces.close()  # type: ignore[attr-defined]
    return 1000 * (got[0] - began)


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_sample", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    sound = read_wav(Path(ROOT) / "sample_audio" / "quickstart.wav")[: int(CLIP_SECONDS * RATE)]
    print(machine())
    print("| container | in the service, ms, median (least) | in a process, ms, median (least) | later, ms (least) |")
    print("| --- | --- | --- | --- |")
    with DecoderProcesses() as processes:
        processes.warm_up()
        for name, make in CONTAINERS.items():
            data = make(sound)
            pairs = [
                (first_sample_ms(decode, data), first_sample_ms(processes.decode, data))
                for _ in range(arguments.rounds)
            ]
            (here, least_here), (apart, least_apart) = (
                (median(times), min(times)) for times in zip(*pairs, strict=True)
            )
            later, least_later = apart - here, least_apart - least_here
            print(
                f"| {name} | {here:.1f} ({least_here:.1f}) | {apart:.1f} ({least_apart:.1f}) "
                f"| {later:.1f} ({least_later:.1f}) |"
            )
        stream = processes.decode(Whole(CONTAINERS["webm"](sound)), AudioFormat())
        next(stream)
        program, fork = processes.pid, children(processes.pid)[0]
        print()
        print("| | resident MB | proportional MB | its own MB |")
        print("| --- | --- | --- | --- |")
        for what, pid in (("the program that forks", program), ("one session's process", fork)):
            sizes = [memory_bytes(pid or 0, kind) / 1e6 for kind in ("Rss", "Pss", "Private_Dirty")]
            print(f"| {what} | {sizes[0]:.0f} | {sizes[1]:.0f} | {sizes[2]:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
