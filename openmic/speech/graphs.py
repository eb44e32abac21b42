"""A step of fixed shapes, recorded once as a CUDA graph and replayed.

A decoder's step is some hundred small kernels, and on a GPU starting them one by one takes longer than their work. A
CUDA graph starts them all at once. It may use only tensors that stay where they are, and does the same work each time.

Graphs are an optimization that must never cost an answer: each new one is compared with the step itself, and after a
graph that could not be recorded or said something else, all steps run without graphs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

log = logging.getLogger(__name__)

WARM_UP_CALLS = 2  # before recording: libraries choose kernels and take their workspaces
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

    def run(self, key: Hashable, step: Step, output: Tensor) -> None:
        """Do ``step`` once, by its graph if there is one; the first time one is made.

        Args:
            key: what the graph is kept under; the same key always means the same tensors and shapes.
            step: does the same again when it is called again.
            output: which the step writes, floating point; its last row is what a graph is judged by.
        """
        replay = self._replays.get(key)
        if replay is not None:
            replay()
            return
        step()
        if self._capture is None:
            return
        expected = output.clone()
        try:
            replay = self._capture(step)
            output.zero_()
            replay()
            same = torch.allclose(output[-1], expected[-1], rtol=0.0, atol=TOLERANCE, equal_nan=True)
        except RuntimeError as failure:  # torch's own errors, CUDA's and out of memory are all of this kind
            self._give_up(f"{key} could not be recorded: {failure}")
        else:
            if same:
                self._replays[key] = replay
            else:
                self._give_up(f"the graph of {key} says something else than the step")
        output.copy_(expected)

    def _give_up(self, why: str) -> None:
        log.warning("steps run without CUDA graphs from now on; they are slower, and right: %s", why)
        self._capture = None
        self._replays.clear()


def cuda_capture() -> Capture:
    """Records steps on the current CUDA device; all graphs share one pool of memory for what is between kernels."""
    memory = torch.cuda.graph_pool_handle()

    def capture(step: Step) -> Step:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_CALLS):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=memory, capture_error_mode="thread_local"):
            step()
        return graph.replay

    return capture
