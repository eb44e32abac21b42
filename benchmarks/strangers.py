"""Ten thousand connections with wrong tokens while one speaker is served: what they do to the speaker's delay.

    python -m benchmarks.strangers [--strangers 10000] [--at-once 50] [--seconds 74] [--model base]

One reading is streamed at the speed of speech twice, to two services: undisturbed, and while strangers knock, one
after the other in so many lanes, for as long as the reading lasts. Exit status 1 if the stable delay (median) is
more than ``MOST_RATIO`` times the undisturbed one, or words are lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

import websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from benchmarks.corpus.reading import Reading, load_reading
from benchmarks.metrics.display import Measured, measure
from benchmarks.metrics.processes import Others
from benchmarks.metrics.report import machine
from benchmarks.realtime.service import Service, Stream, service, stream

MOST_RATIO = 1.5
PACED_PART = 0.9  # of the reading in which the knocks are spread


async def knock(port: int, strangers: int, at_once: int, seconds: float = 0.0) -> list[str]:
    """Show a wrong token ``strangers`` times, ``at_once`` connections at a time; the code that each was told.

    Args:
        port: of the service.
        strangers: how many connections in all.
        at_once: how many at a time.
        seconds: spread over so much time; 0: as fast as the service answers.
    """
    began, numbers, codes = time.monotonic(), iter(range(strangers)), list[str]()

    async def lane() -> None:
        for number in numbers:
            await asyncio.sleep(max(0.0, began + number * seconds / strangers - time.monotonic()))
            codes.append(await _one(port))

    await asyncio.gather(*(lane() for _ in range(at_once)))
    return codes


async def _one(port: int) -> str:
    url, headers = f"ws://127.0.0.1:{port}/v1/stream", {"Authorization": "Bearer not-the-one"}
    try:
        async with websockets.connect(
            url, additional_headers=headers, proxy=None, open_timeout=60, compression=None, ping_interval=None
        ) as connection:
            return str(json.loads(await connection.recv())["code"])
    except (ConnectionClosed, InvalidHandshake, OSError) as error:
        return type(error).__name__


async def disturbed(running: Service, reading: Reading, strangers: int, at_once: int) -> tuple[Stream, list[str]]:
    """One speaker and all strangers."""
    speaker = asyncio.create_task(stream(running, reading.pcm(), "en"))
    codes = await knock(running.port, strangers, at_once, PACED_PART * reading.seconds)
    return await speaker, codes


def figures(seen: Stream, reading: Reading) -> Measured:
    """The speaker's delays."""
    return measure(seen.history, reading.words, reading.text, seen.audio_end)


def line(name: str, measured: Measured, seen: Stream) -> str:
    """One row of the table."""
    stable = measured.stable
    delays = f"{stable.median:.2f} / {stable.p90:.2f} / {stable.max:.2f}" if stable else "none"
    return f"| {name} | {delays} | {measured.missing} of {measured.words} | {seen.time_to_final:.1f} |"


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strangers", description=__doc__.partition("\n")[0])
    parser.add_argument("--strangers", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=74.0, help="about so much of the reading")
    parser.add_argument("--model", default="base")
    arguments = parser.parse_args()
    reading = load_reading(arguments.seconds)
    print(f"{reading.name}, {reading.seconds:.0f} s; model {arguments.model}; {machine()}")
    print("| | stable s, median / p90 / max | words missing | time to final s |\n| --- | --- | --- | --- |")
    with Others() as others:
        with service(arguments.model) as running:
            calm = asyncio.run(stream(running, reading.pcm(), "en"))
        quiet = figures(calm, reading)
        print(line("alone", quiet, calm), flush=True)
        with service(arguments.model) as running:
            busy, codes = asyncio.run(disturbed(running, reading, arguments.strangers, arguments.at_once))
    loud = figures(busy, reading)
    print(line(f"with {len(codes)} strangers", loud, busy))
    told = {code: codes.count(code) for code in sorted(set(codes))}
    print(f"strangers were told: {told}; {others.note}")
    if quiet.stable is None or loud.stable is None:
        return 1
    ratio = loud.stable.median / quiet.stable.median
    print(f"stable delay, median: {ratio:.2f} times that without strangers")
    return 0 if ratio <= MOST_RATIO and loud.missing <= quiet.missing else 1


if __name__ == "__main__":
    sys.exit(main())
