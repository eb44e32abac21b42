"""What other vendors' wires cost over the native socket, and when a voice agent has what was said.

    python -m benchmarks.dialects [--only added,segments] [--words 200] [--utterances 40] [--model base]

``added``: how much later than on the native socket a word is there, over the real server with an engine that follows a
script; all wires at once, so that whatever else the machine does slows all of them. ``segments``: the time from the end
of speech to the final segment, as pipecat measures it, in real time with real weights, each utterance over each wire.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from dataclasses import replace

import numpy as np

from benchmarks.corpus.reading import available_clips
from benchmarks.corpus.recordings import sample_clips, shared_folder
from benchmarks.metrics.report import machine
from benchmarks.realtime.added_delay import Heard, final_delays, timed_server, word_delays
from benchmarks.realtime.end_of_speech import ENDPOINT_SECONDS, WAYS, measure, utterances
from benchmarks.realtime.service import service
from benchmarks.realtime.wires import WIRES, assemblyai, deepgram, native

PARTS = ("added", "segments")
WORD_SPEED = 4.0  # seconds of audio a second, so words a second
TARGET_MS = 20.0  # that a dialect may add
# Median and 95th percentile, in ms, that https://github.com/pipecat-ai/stt-benchmark has measured over a network.
HOSTED = {"Deepgram": (247, 298), "Soniox": (249, 281), "AssemblyAI": (256, 362), "OpenAI": (637, 965)}


def main() -> int:
    """Run and print; 1 if a dialect adds more than it may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialects", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(PARTS), help=f"any of {','.join(PARTS)}")
    parser.add_argument("--words", type=int, default=200, help="of each wire, for `added`")
    parser.add_argument("--utterances", type=int, default=40, help="for `segments`")
    parser.add_argument("--model", default="base", help="for `segments`")
    given = parser.parse_args()
    wanted = given.only.split(",")
    print(machine(), flush=True)
    good = asyncio.run(added(given.words)) if "added" in wanted else True
    if "segments" in wanted:
        asyncio.run(segments(given.model, given.utterances))
    return 0 if good else 1


async def added(words: int) -> bool:
    """Print what each dialect adds; whether that is less than it may be."""
    samples = np.concatenate([clip.samples for clip in sample_clips()])
    with timed_server() as server:
        wires = [make(0.6) for make in WIRES]
        base, *others = await word_delays(server, wires, samples, words, WORD_SPEED)
        final, transcript = await final_delays(server, words)
    print(f"\n{words} words, from the engine's event to the client, ms\n")
    print("| wire | ms, median | p95 | over native, ms, median | p95 |\n| --- | --- | --- | --- | --- |")
    good = True
    for one, reference in ((base, None), *((other, base) for other in others), (final, None), (transcript, final)):
        print(added_row(one, reference), flush=True)
        good = good and (reference is None or 1000 * float(np.median(one.over(reference))) < TARGET_MS)
    return good


def added_row(one: Heard, reference: Heard | None) -> str:
    """A wire's delays, and by how much they are over those of another one, word by word; in ms."""

    def figures(delays: list[float]) -> str:
        return f"{1000 * np.median(delays):.1f} | {1000 * np.percentile(delays, 95):.1f}"

    return f"| {one.name} | {figures(one.delays)} | {figures(one.over(reference)) if reference else '- | -'} |"


async def segments(model: str, most: int) -> None:
    """Print how long after the end of speech the final segment is there."""
    name, clips = available_clips()
    spoken = utterances([*clips, *sample_clips()] if shared_folder() else clips, most)
    wires = [make(ENDPOINT_SECONDS) for make in (native, deepgram, assemblyai)]
    owner = secrets.token_urlsafe(24)  # for asking what the server works on
    with service(model, owner_token=owner) as running:
        results, finals = await measure(replace(running, token=owner), wires, spoken, WAYS)
    seconds = [utterance.end_seconds for utterance in spoken]
    print(f"\n{len(spoken)} utterances of {min(seconds):.1f} to {max(seconds):.1f} s; {name}; {model}")
    print("\n| wire, and what ends the utterance | ms, median | p95 | max | missing | WER to the final % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for result in results:
        print(result.markdown(finals))
    hosted = ", ".join(f"{vendor} {middle} and {late}" for vendor, (middle, late) in HOSTED.items())
    print(f"\nHosted, on GPUs and over a network, ended after 200 ms, median and p95 in ms: {hosted}")


if __name__ == "__main__":
    sys.exit(main())
