"""A live step: the newest audio of several streams, decoded together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from openmic.speech.engine.stream import EngineStream, StepPlan
from openmic.speech.live.hypothesis import Hypothesis, StepInput


class LiveDecoder(Protocol):
    """What decodes live windows: ``LiveStepDecoder``."""

    def step(self, requests: Sequence[StepInput]) -> list[Hypothesis]:
        """Decode all windows together; the answers are in the order of ``requests``."""


def run_step(
    live: LiveDecoder,
    due: Sequence[tuple[EngineStream, StepPlan]],
    on_failure: Callable[[EngineStream, Exception], None] | None = None,
) -> list[Hypothesis]:
    """One live step of all streams that are due, in one batch.

    Args:
        live: decodes the windows.
        due: streams, each with its plan.
        on_failure: called for a stream that cannot apply its step, while the others go on; None: that raises.

    Returns:
        What was decoded, in the order of ``due``.

    Raises:
        Exception: whatever decoding raises; no stream has been changed then.
    """
    hypotheses = live.step([stream.step_input(plan) for stream, plan in due])
    for (stream, plan), hypothesis in zip(due, hypotheses, strict=True):
        try:
            stream.apply_step(plan, hypothesis)
        except Exception as error:
            if on_failure is None:
                raise
            on_failure(stream, error)
    return hypotheses
