"""How many people can speak at once, from what the two passes cost.

The model: with ``n`` speakers every stream is stepped once in ``STEP_EVERY_SECONDS``, all in one batch, and every
``WINDOW_EVERY_SECONDS`` of a stream's audio its final pass has one window of 30 s to transcribe. So the device works

    load(n) = step(n) / STEP_EVERY_SECONDS + n * window / WINDOW_EVERY_SECONDS

of the time, where ``step(n)`` is the time of a live step of ``n`` streams and ``window`` that of a final window. The
capacity is the largest ``n`` whose load is at most ``MOST_LOAD``, and at least 1. While something else makes steps
dearer than they were measured, final passes give way, so only the first term counts: it must stay under
``MOST_LIVE_LOAD``. The step's time is measured for a few
numbers of streams (``calibration.py``) and taken as a straight line between and behind them; a capacity is not believed
beyond ``BEYOND_MEASURED`` times the largest batch that was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

STEP_EVERY_SECONDS = 1.5  # the slowest cadence at which live text is still live
WINDOW_EVERY_SECONDS = 27.0  # of audio: a final window is 30 s, and the next begins at its last whole sentence
MOST_LOAD = 0.56  # of the time; the rest is for the sessions' own work, and for when many want a step at once
MOST_LIVE_LOAD = 0.8  # of the time, of live steps alone, while they are dearer than measured
BEYOND_MEASURED = 4


@dataclass(frozen=True, slots=True)
class Costs:
    """What the two passes cost on a device.

    Attributes:
        steps: (streams in a batch, seconds of a live step), by rising numbers of streams; at least one.
        final_window_cost_seconds: time of a final window.
    """

    steps: tuple[tuple[int, float], ...]
    final_window_cost_seconds: float

    def step_cost_seconds(self, streams: int) -> float:
        """Time of a live step of so many streams."""
        (near, cost), *others = self.steps
        slope = cost / near  # where one number alone was measured, each stream costs the same
        for count, seconds in others:
            slope = max(0.0, seconds - cost) / (count - near)
            if streams <= count:
                break
            near, cost = count, max(seconds, cost)
        return max(0.0, cost + slope * (streams - near))

    def load(self, streams: int) -> float:
        """Part of the time in which the device works for so many speakers."""
        return (
            self.step_cost_seconds(streams) / STEP_EVERY_SECONDS
            + streams * self.final_window_cost_seconds / WINDOW_EVERY_SECONDS
        )

    def capacity(self, slowness: float = 1.0) -> int:
        """How many may speak at once, while live steps are ``slowness`` times as dear as measured; at least 1."""
        speakers = 1
        while (
            speakers < BEYOND_MEASURED * self.steps[-1][0]
            and self.load(speakers + 1) <= MOST_LOAD
            and self.step_cost_seconds(speakers + 1) * slowness / STEP_EVERY_SECONDS <= MOST_LIVE_LOAD
        ):
            speakers += 1
        return speakers

    def batch(self, due: int) -> int:
        """How many of ``due`` streams to step together, so that words come soon.

        In ``k`` batches one round of all streams takes ``k * step(due / k)``. A word waits at most a round until its
        stream's turn comes, and then for its own batch. Where a batch costs little more than one stream (a GPU), that
        is least for one batch of all; where every stream costs the same (a processor), for single ones.
        """

        def longest_wait(size: int) -> float:
            return (-(-due // size) + 1) * self.step_cost_seconds(size)

        return min(range(due, 0, -1), key=longest_wait) if due > 1 else due


def describe_capacity(speakers: int) -> str:
    """A capacity as the owner is told it: "4 speakers at once"."""
    return f"{speakers} speaker{'' if speakers == 1 else 's'} at once"
