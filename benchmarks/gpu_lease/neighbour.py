"""A notebook's other cells: does openmic stand them, and do they stand it?"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import Parts
from benchmarks.gpu_lease.steps import live_steps, wait
from openmic.speech.final.decode import decode
from openmic.speech.gpu.cuda_graphs import StepGraphs, cuda_capture
from openmic.speech.gpu.select import decoder_for, give_slots, warm_up

PRODUCT = 8192  # rows and columns of the neighbour's matrices
WARM_TEMPERATURE = 0.4


class Neighbour:
    """Another thread that draws numbers, waits for the device and multiplies matrices, over and over.

    Attributes:
        rounds: how many it has done.
        errors: what went wrong in it, each kind once.
    """

    def __init__(self, device: torch.device) -> None:
        self.rounds, self.errors = 0, set[str]()
        self._device, self._over = device, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        size = PRODUCT if self._device.type == "cuda" else 64
        dtype = torch.float16 if self._device.type == "cuda" else torch.float32
        matrix = torch.randn(size, size, device=self._device).to(dtype)
        while not self._over.is_set():
            try:
                noise = torch.rand(1024, device=self._device)
                torch.nn.functional.dropout(noise, 0.5)
                matrix @ matrix
                wait(self._device)
            except RuntimeError as error:  # torch's own errors, CUDA's and out of memory are all of this kind
                self.errors.add(str(error).splitlines()[0][:200])
                time.sleep(0.01)
            self.rounds += 1

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """It works meanwhile."""
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join(30.0)

    def told(self) -> dict[str, Any]:
        """How it fared."""
        return {"rounds": self.rounds, "errors": sorted(self.errors)}


def beside(parts: Parts, number: int, device: torch.device, seconds: float) -> dict[str, Any]:
    """A live step's time alone and beside a neighbour, and steps recorded beside one."""
    found: dict[str, Any] = {"alone": _step_times(parts, number, seconds / 3)}
    neighbour = Neighbour(device)
    with neighbour.at_work():
        found["beside"] = _step_times(parts, number, seconds / 3)
    found["beside"] |= neighbour.told()
    if device.type != "cuda":
        return found
    neighbour = Neighbour(device)
    with neighbour.at_work():
        time.sleep(0.2)
        decoder = decoder_for(parts.final.model, "float16")
        give_slots(decoder, parts.encoder)
        warm_up(decoder, record_seconds=seconds / 3)
        graphs = getattr(decoder, "graphs", None)
        found["warmed up beside"] = {"graphs": 0 if graphs is None else len(graphs.keys)}
    found["warmed up beside"] |= neighbour.told()
    return found


def failed_recording(parts: Parts, device: torch.device) -> dict[str, Any]:
    """Record a step that cannot be recorded; then draw a number, and sample a final text."""
    if device.type != "cuda":
        return {"after a failed recording": "needs a GPU"}
    output = torch.zeros(2, 3, device=device)

    def step() -> None:
        output[1] += 1
        float(output.sum())  # waits for the device, which no recording may

    StepGraphs(cuda_capture(device)).record("fails", step, output)
    tried = {"draw": lambda: torch.rand(1, device=device).item(), "final": lambda: _sampled(parts)}
    told = {}
    for name, work in tried.items():
        try:
            work()
            told[name] = "works"
        except RuntimeError as error:
            told[name] = str(error).splitlines()[0][:200]
    return {"after a failed recording": told}


def _sampled(parts: Parts) -> str:
    decoder, final = parts.decoder, parts.final
    states = torch.randn(1500, decoder.heads * decoder.head_width, device=decoder.device).to(decoder.dtype)
    tokenizer = final.vocabulary.tokenizer("en", "transcribe")
    steps = decode(decoder, final.vocabulary, decoder.cross_attention_kv(states), tokenizer, [], WARM_TEMPERATURE)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return str(end.value.text)


def _step_times(parts: Parts, number: int, seconds: float) -> dict[str, Any]:
    times: list[float] = []
    deadline = time.monotonic() + seconds
    while not times or time.monotonic() < deadline:
        for place, step in enumerate(live_steps(parts, number)):
            began = time.perf_counter()
            step()
            if place:
                times.append(time.perf_counter() - began)
    return {"steps": len(times), "median": float(np.median(times)), "p90": float(np.percentile(times, 90))}
