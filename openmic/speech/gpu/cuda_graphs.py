"""A step of fixed shapes, recorded once as a CUDA graph and replayed.

A decoder's step is some hundred small kernels, and on a GPU starting them one by one takes longer than their work. A
CUDA graph starts them all at once. It may use only tensors that stay where they are, and does the same work each time.

Graphs are an optimization that must never cost an answer: they are recorded at warm-up alone, each new one is compared
with the step itself, and after a graph that could not be recorded or said something else, all steps run without graphs.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

log = logging.getLogger(__name__)

WARM_UP_CALLS = 2  # before recording: libraries choose kernels and take their workspaces
TRIES = 3  # of one recording
TOLERANCE = 0.05  # between a graph's outputs and the step's own; log-probabilities in float16 differ by some 0.01

Step = Callable[[], None]
"""Reads and writes tensors that stay where they are."""

Capture = Callable[[Step], Step]
"""Makes a replay of a step."""


class StepGraphs:
    """Runs steps, each by its graph once it has one.

    Args:
        capture: records a step; None runs every step as it is.
    """

    def __init__(self, capture: Capture | None) -> None:
        self._capture = capture
        self._replays: dict[Hashable, Step] = {}

    @property
    def enabled(self) -> bool:
        """Whether steps are recorded."""
        return self._capture is not None

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """Which steps have a graph."""
        return tuple(self._replays)

    def run(self, key: Hashable, step: Step) -> None:
        """Do ``step`` once, by its graph if it has one. Nothing is ever recorded here: people are speaking.

        Args:
            key: what the graph is kept under; the same key always means the same tensors and shapes.
            step: what to do.
        """
        self._replays.get(key, step)()

    def record(self, key: Hashable, step: Step, output: Tensor) -> None:
        """Record ``step`` and hold its graph against it; only while nobody waits for an answer.

        Other threads' work on the device can make a recording fail, so it is tried ``TRIES`` times.

        Args:
            key: as for ``run``.
            step: does the same again when it is called again.
            output: which the step writes, floating point; its last row is what a graph is judged by.
        """
        if self._capture is None:
            return
        step()
        expected = output.clone()
        problem = ""
        for _ in range(TRIES):
            try:
                replay = self._capture(step)
                output.zero_()
                replay()
                same = torch.allclose(output[-1], expected[-1], rtol=0.0, atol=TOLERANCE, equal_nan=True)
            except RuntimeError as failure:  # torch's own errors, CUDA's and out of memory are all of this kind
                problem = f"{key} could not be recorded: {failure}"
                continue
            if same:
                self._replays[key] = replay
                return
            problem = f"the graph of {key} says something else than the step"
            break
        self._give_up(problem)

    def _give_up(self, why: str) -> None:
        log.warning("steps run without CUDA graphs from now on; they are slower, and right: %s", why)
        self._capture = None
        self._replays.clear()


def cuda_capture(device: torch.device) -> Capture:
    """Records steps on ``device``; all graphs share one pool of memory for what is between kernels.

    ``torch.cuda.graph`` is not used: after a recording that fails, it leaves the thread on its own stream and the
    process's random numbers unusable, and each time it waits for the whole device and empties torch's cache. Here the
    stream is left whatever happens, and the recording registers with a generator of its own: a step draws nothing, and
    other code that draws meanwhile or afterwards is not touched.
    """
    memory = torch.cuda.graph_pool_handle()
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    place = torch.cuda.current_device() if device.index is None else device.index
    own = torch.Generator(device)

    def capture(step: Step) -> Step:
        nonlocal memory
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_CALLS):
                step()
            graph = torch.cuda.CUDAGraph()
            generator = torch.cuda.default_generators[place]
            state = generator.graphsafe_get_state()
            generator.graphsafe_set_state(own.graphsafe_get_state())
            try:
                try:
                    graph.capture_begin(pool=memory, capture_error_mode="thread_local")
                finally:
                    generator.graphsafe_set_state(state)
                step()
                graph.capture_end()
            except BaseException:  # also where somebody interrupts the cell that starts the service
                _abandon(graph, place, memory)
                memory = torch.cuda.graph_pool_handle()  # the old one is still taken for recording
                raise
        torch.cuda.current_stream(device).wait_stream(stream)
        return graph.replay

    return capture


def _abandon(graph: torch.cuda.CUDAGraph, place: int, memory: tuple[int, int]) -> None:
    """End a recording that has failed, as far as torch has not."""
    with contextlib.suppress(RuntimeError, KeyboardInterrupt):
        graph.capture_end()
    with contextlib.suppress(RuntimeError):
        torch._C._cuda_endAllocateToPool(place, memory)
