"""How long after the end of speech a client has the final segment: what pipecat calls TTFS.

Each utterance is a stream of its own, in real time, followed by silence. Speech ends where Silero hears its last voice,
as in pipecat's benchmark (https://github.com/pipecat-ai/stt-benchmark); the segment is there with the first message
after that which ends an utterance.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import websockets
from websockets.asyncio.client import ClientConnection

from benchmarks.corpus.recordings import Clip
from benchmarks.metrics.display import word_error_rate
from benchmarks.realtime.service import Service
from benchmarks.realtime.wires import Wire, connected, feed
from openmic.audio import VoiceActivity
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.audio.vad import PAD

PIECE_SECONDS = 0.02  # as the frameworks send it
ENDPOINT_SECONDS = 0.3
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 8.0
SEGMENT_SECONDS = 10.0  # silence in which it must come
FINAL_SECONDS = 60.0
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Utterance:
    """Speech without a pause.

    Attributes:
        samples: with a little of what is before and behind it.
        end_seconds: when its last voice is over.
    """

    samples: Samples
    end_seconds: float


@dataclass(frozen=True)
class Way:
    """The client ends an utterance so long after the end of speech; None: silence does."""

    name: str
    flush_after_seconds: float | None = None


WAYS = (
    Way(f"ended by {ENDPOINT_SECONDS * 1000:.0f} ms of silence"),
    Way("ended by the client after 200 ms", 0.2),  # as pipecat does, whose hosted figures are measured so
    Way("ended by the client at once", 0.0),
)


@dataclass
class Segments:
    """What one wire gave in one way.

    Attributes:
        delays: from the end of speech to the segment, in seconds.
        texts: of all utterances; "" where nothing came in time.
    """

    wire: str
    way: Way
    delays: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Utterances whose segment did not come in time."""
        return len(self.texts) - len(self.delays)

    def markdown(self, finals: Sequence[str]) -> str:
        """A row; its errors are against the finals of the same recordings."""
        wer = 100 * word_error_rate(" ".join(finals), " ".join(self.texts))
        ms = [1000 * delay for delay in self.delays] or [float("nan")]
        figures = f"{np.median(ms):.0f} | {np.percentile(ms, 95):.0f} | {max(ms):.0f} | {self.missing} | {wer:.1f}"
        return f"| {self.wire}; {self.way.name} | {figures} |"


def utterances(clips: Sequence[Clip], most: int) -> list[Utterance]:
    """Stretches of speech between pauses of ``ENDPOINT_SECONDS``, spread evenly over the recordings."""
    found = []
    silence = np.zeros(SAMPLE_RATE, np.float32)
    for clip in clips:
        samples = np.concatenate([clip.samples, silence])
        begin = 0.0
        for boundary in VoiceActivity(ENDPOINT_SECONDS).push(samples):
            if boundary.state == "started":
                begin = boundary.at
                continue
            seconds = boundary.at - begin
            if SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
                cut = samples[round(begin * SAMPLE_RATE) : round(boundary.at * SAMPLE_RATE)]
                found.append(Utterance(cut, seconds - PAD / SAMPLE_RATE))
    step = max(1.0, len(found) / most)
    return [found[int(number * step)] for number in range(min(most, len(found)))]


async def measure(
    service: Service, wires: Sequence[Wire], spoken: Sequence[Utterance], ways: Sequence[Way]
) -> tuple[list[Segments], list[str]]:
    """All utterances in all ways over all wires, each beginning with the next of them.

    Args:
        service: that runs, with its owner's token.
        wires: the first is the native one, whose finals are the reference.
        spoken: the utterances.
        ways: of ending them.

    Returns:
        The segments by way and wire, and the final text of each utterance.
    """
    results = [Segments(wire.name, way) for way in ways for wire in wires]
    runs = list(zip(results, [(way, wire) for way in ways for wire in wires], strict=True))
    finals = []
    for number, utterance in enumerate(spoken):
        first = number % len(runs)
        for result, (way, wire) in [*runs[first:], *runs[:first]]:
            delay, text, final = await _speak(service, wire, utterance, way)
            result.texts.append(text)
            if delay is not None:
                result.delays.append(delay)
            if result is results[0]:
                finals.append(final)
            await _idle(service)
    return results, finals


async def _speak(service: Service, wire: Wire, utterance: Utterance, way: Way) -> tuple[float | None, str, str]:
    """One utterance: the delay of its segment in seconds, the segment's text, and the final's on the native wire."""
    silence = np.zeros(round(SEGMENT_SECONDS * SAMPLE_RATE), np.float32)
    after = way.flush_after_seconds
    async with connected(wire, service.port, service.token) as connection:
        began = time.monotonic()
        over = began + utterance.end_seconds
        feeding = asyncio.create_task(
            feed(
                connection,
                wire,
                np.concatenate([utterance.samples, silence]),
                PIECE_SECONDS,
                began=began,
                flush_at_seconds=None if after is None else utterance.end_seconds + after,
            )
        )
        at, text = await _segment(connection, wire, over)
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        final = ""
        if wire.name == "native":
            await connection.send(wire.stop or "")
            final = await _final(connection)
    return None if at is None else at - over, text, final


async def _segment(connection: ClientConnection, wire: Wire, over: float) -> tuple[float | None, str]:
    """When the first end of an utterance after ``over`` came, with words since the last, and all words until then."""
    texts: list[str] = []
    told = 0  # of them, before the last end
    try:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + over - time.monotonic() + SEGMENT_SECONDS):
            async for frame in connection:
                message = json.loads(frame)
                if text := wire.committed(message).strip():
                    texts.append(text)
                if wire.ends(message):
                    at = time.monotonic()
                    if at >= over and len(texts) > told:
                        return at, " ".join(texts)
                    told = len(texts)
    except (TimeoutError, websockets.ConnectionClosed):
        pass
    return None, " ".join(texts)


async def _final(connection: ClientConnection) -> str:
    async with asyncio.timeout(FINAL_SECONDS):
        async for frame in connection:
            message = json.loads(frame)
            if message["type"] == "final":
                return str(message["text"])
    return ""


async def _idle(service: Service) -> None:
    """Wait until the server works on nothing: the next utterance is to find it as the first did."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{service.port}/v1/sessions", headers={"Authorization": f"Bearer {service.token}"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def states() -> set[str]:
        with opener.open(request, timeout=FINAL_SECONDS) as answer:
            return {session["state"] for session in json.load(answer)["sessions"]}

    for _ in range(round(FINAL_SECONDS / LOOK_SECONDS)):
        if await asyncio.to_thread(states) <= {"ended"}:
            return
        await asyncio.sleep(LOOK_SECONDS)
    raise RuntimeError(f"the server still works on a session after {FINAL_SECONDS:.0f} s")
