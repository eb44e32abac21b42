"""Where the time of a live step goes, part by part, and what a pass of one token per row takes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import Parts
from benchmarks.simulated.pieces import least_bytes
from openmic.audio.types import SAMPLE_RATE
from openmic.speech.engine.calibration import Clip, calibration_stream, speech_clip
from openmic.speech.engine.costs import STEP_EVERY_SECONDS
from openmic.speech.engine.live_step import run_step
from openmic.speech.gpu.cuda_graphs import StepGraphs
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.model.decoder import CrossAttentionKV, Decoder

STATES = 555  # encoder states of a live window of 7 s, its silence and its tail
TOKENS = 100  # fed before
CALLS = 8
STEPS = 5  # of which the first does not count
STEP_SECONDS = STEP_EVERY_SECONDS
FIRST_SECONDS = 4.0


@torch.inference_mode()
def choices(decoder: Decoder, numbers: list[int]) -> list[dict[str, Any]]:
    """Seconds of a pass of one token per row as it is, without graphs, and the fewest bytes that it must read."""
    heads, width, layers = decoder.heads, decoder.head_width, len(decoder.layers)
    never = torch.tensor([0], device=decoder.device)
    side = [torch.randn(heads, STATES, width, device=decoder.device).to(decoder.dtype) for _ in range(layers)]
    found = []
    for number in numbers:
        rows = [decoder.row(CrossAttentionKV(side, side)) for _ in range(number)]
        for row in rows:
            decoder.forward([row], [list(range(TOKENS))])

        def work(rows: list[Any] = rows) -> None:
            for row in rows:
                row.length = TOKENS
            for _ in range(CALLS):
                decoder.choose(rows, [1] * len(rows), never)

        entry = {"rows": number, "seconds": timed(work, decoder.device) / CALLS}
        entry["least_bytes"] = least_bytes(decoder, number, STATES, TOKENS)
        if isinstance(decoder, BatchedDecoder):
            graphs, decoder.graphs = decoder.graphs, StepGraphs(None)
            entry["without_graphs"] = timed(work, decoder.device) / CALLS
            decoder.graphs = graphs
        found.append(entry)
        del rows, work  # its slots
    return found


def measured_steps(parts: Parts, number: int) -> dict[str, Any]:
    """Mean seconds of a live step of so many streams, and of each of its parts (each waits for the device)."""
    took: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    for step in live_steps(parts, number):  # loads what is loaded at its first use
        step()

    @contextmanager
    def observe(stage: str, rows: int) -> Iterator[None]:
        wait(parts.decoder.device)
        began = time.perf_counter()
        yield
        wait(parts.decoder.device)
        took[stage] += time.perf_counter() - began
        calls[stage] += 1

    for place, step in enumerate(live_steps(parts, number, parts.live.observed(observe))):
        if place == 1:
            took.clear()
            calls.clear()
        began = time.perf_counter()
        step()
        wait(parts.decoder.device)
        took["whole"] += time.perf_counter() - began
    counted = STEPS - 1
    return {
        "rows": number,
        "passes": calls["choose"] / counted,
        **{name: seconds / counted for name, seconds in took.items()},
    }


def live_steps(parts: Parts, number: int, live: LiveStepDecoder | None = None) -> Iterator[Callable[[], None]]:
    """Steps of so many streams that have been speaking for a while, at the slowest cadence."""
    speech = np.resize(speech_clip(), round((FIRST_SECONDS + STEPS * STEP_SECONDS) * SAMPLE_RATE))
    clips = [Clip(speech, 0) for _ in range(number)]
    streams = [calibration_stream(clip, parts.final) for clip in clips]
    for place in range(STEPS):
        for clip in clips:
            clip.length = round((FIRST_SECONDS + place * STEP_SECONDS) * SAMPLE_RATE)
        due = [(stream, plan) for stream in streams if (plan := stream.due_step()) is not None]

        def step(due: list[Any] = due) -> None:
            run_step(live or parts.live, due)

        yield step


def profiled(parts: Parts, number: int) -> dict[str, Any]:
    """Kernels of one live step: how many, which take longest, and how long the device works (torch's profiler)."""
    steps = live_steps(parts, number)
    for _ in range(STEPS - 1):
        next(steps)()
    last = next(steps)
    cuda = parts.decoder.device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CPU, *([torch.profiler.ProfilerActivity.CUDA] if cuda else [])]
    with torch.profiler.profile(activities=activities) as profile:
        last()
        wait(parts.decoder.device)
    where = "CUDA" if cuda else "CPU"
    events = [event for event in profile.key_averages() if event.device_type.name == where]
    seconds = {event.key: event.self_device_time_total if cuda else event.self_cpu_time_total for event in events}
    longest = sorted(events, key=lambda event: -seconds[event.key])[:25]
    return {
        "rows": number,
        "kernels": sum(event.count for event in events),
        "device_seconds": sum(seconds.values()) / 1e6,
        "longest": [[event.key[:120], event.count, seconds[event.key] / 1e6] for event in longest],
    }


def timed(work: Callable[[], None], device: torch.device) -> float:
    """The least of three times, after one that does not count."""
    times = []
    for _ in range(4):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - began)
    return min(times[1:])


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
