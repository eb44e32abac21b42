"""Whose turn it is: live steps of all streams and final passes on one device.

**Live first.** Of the streams that want a step, those whose oldest unheard audio has waited longest are stepped
together, as many as ``Costs.batch`` says; then one looks again. So an idle device steps often, a busy one finds more
new audio when it comes round, and no stream is passed over: one that waits moves to the front.

**Final passes** fill the time between, ``SLICE_SECONDS`` at a time (``final_work.py``), and are owed a part of it while
live steps are always due: as much as they need for every window to be done before the stream's next one is due, between
``FINAL_SHARE`` and ``MOST_FINAL_SHARE``. Streams whose client has stopped come first, of them the one that is nearest
to its end (shortest remaining time first, which makes the mean wait least); of the others the one whose window has been
due longest.

**Live text is the last thing to suffer.** While anybody's speech has been waiting for its live step longer than
``GIVE_WAY_SECONDS``, final passes are owed nothing and get nothing; with steps that have become dearer, all streams are
stepped less often, in turn. Only a stream that has waited for a final longer than ``LONGEST_WAIT_SECONDS`` is owed
``LEAST_SHARE`` even then: every wait has an end.

**Time that nobody wants** goes to streams that have fallen silent and may be finished (``final/speculation.py``).

**Catching up.** A stream with more unheard audio than a window holds because it was sent faster than it was spoken (a
file, or what was said while its replica was being replaced) steps in the same time as final passes, with others that
catch up where ``Costs.batch`` says so. One that fell behind as it was spoken is late, and goes first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import torch

from openmic.speech.device import DeviceLost, free_memory
from openmic.speech.engine.costs import STEP_EVERY_SECONDS, WINDOW_EVERY_SECONDS, Costs
from openmic.speech.engine.failures import fail
from openmic.speech.engine.final_work import SLICE_SECONDS, FinalWork, WorkQueue
from openmic.speech.engine.live_step import LiveDecoder, run_step
from openmic.speech.engine.overload import LATE_SECONDS, Slowness
from openmic.speech.engine.scheduled_stream import ScheduledStream
from openmic.speech.engine.stream import StepPlan

log = logging.getLogger(__name__)

FINAL_SHARE = 0.25  # of the time, the least that final passes get while live steps are always due
MOST_FINAL_SHARE = 0.5  # and the most, unless live steps need less than the rest at their slowest cadence
PATIENCE_WINDOWS = 3.0  # a stream that waits for a final is owed a window's work in so many times its own duration
GIVE_WAY_SECONDS = 1.0  # speech that has waited longer than this for its live step goes before all final passes
LONGEST_WAIT_SECONDS = 60.0  # for a final that gives way to live text; after that it is owed
LEAST_SHARE = 0.1  # of the time, all the same


DueStep = tuple[ScheduledStream, StepPlan]


class NothingQueued:
    """The queue of a processor, which does all work at once."""

    def mark(self) -> None:
        """See ``WorkQueue``."""

    def drain(self) -> None:
        """See ``WorkQueue``."""


class Scheduler:
    """Does the most urgent piece of work there is.

    Args:
        live: decodes live windows.
        costs: what was measured; None: not known, then all streams are stepped together.
        clock: in seconds, monotonic.
        device_computes: asked after a failure: whether the device still does.
        queue: of a device that is given work and does it later; None: it is done at once.
        rows_together: streams that a live step serves at most; None: any number.
        finals_together: streams whose final windows are decoded side by side.

    Attributes:
        costs: as the argument; it may change.
        step_seconds, batch_size: the latest live step's time, and how many streams it served.
        slowness: how many times dearer live steps are now than ``costs`` say; at least 1.
        finals_give_way: final passes have something to do and got no time at the last turn, because live text is late.
        fits: streams of a live step for which the device has memory; None: as many as there were so far.
    """

    def __init__(
        self,
        live: LiveDecoder,
        costs: Costs | None,
        clock: Callable[[], float] = time.monotonic,
        device_computes: Callable[[], bool] = lambda: True,
        queue: WorkQueue | None = None,
        rows_together: int | None = None,
        finals_together: int = 1,
    ) -> None:
        self._live = live
        self.costs = costs
        self._clock = clock
        self._device_computes = device_computes
        self._rows_together = rows_together
        self.fits: int | None = None
        self._debt = 0.0  # time owed to final passes
        cost_seconds = costs.final_window_cost_seconds if costs is not None else 0.0
        self._finals = FinalWork(cost_seconds, clock, queue or NothingQueued(), self._check_device, finals_together)
        self.step_seconds = 0.0
        self.batch_size = 0
        self.slowness = 1.0
        self.finals_give_way = False
        self._slowness = Slowness()

    def close(self) -> None:
        """Let go of the model; ``take`` is not called any more."""
        del self._live

    def take(self, places: Sequence[ScheduledStream]) -> bool:
        """Do one live step, or one slice of a final pass, or nothing; False if there was nothing to do.

        Raises:
            DeviceLost: the device computes nothing any more.
        """
        now = self._clock()
        self.slowness = self._slowness.factor(now)
        for place in places:
            self._report(place, now)
        due, catching_up = self._due_steps(places, now)
        finals = self.ready_finals(places, now)
        live_is_late = bool(due) and due[0][0].late_seconds(now) > GIVE_WAY_SECONDS
        owed = any(place.waited_seconds(now) > LONGEST_WAIT_SECONDS for place in finals)
        give_way = live_is_late and not owed
        self.finals_give_way = give_way and bool(finals)
        if due and (give_way or self._debt <= SLICE_SECONDS or not (finals or catching_up)):
            self._step(self._batch(due))
            if live_is_late:
                share = LEAST_SHARE if owed else 0.0
            else:
                share = self._share(finals, now, len(due)) if finals else FINAL_SHARE if catching_up else 0.0
            self._debt += (self._clock() - now) * share / (1.0 - share)
            return True
        if not finals and not catching_up:
            self._debt = 0.0
            return any(self._finals.speculate(place) for place in places)
        if catching_up:
            self._step(self._batch(catching_up))
        if finals:
            self._finals.slice(finals)
        self._debt -= self._clock() - now
        if not due:
            self._debt = max(0.0, self._debt)  # the time was free
        return True

    def ready_finals(self, places: Sequence[ScheduledStream], now: float) -> list[ScheduledStream]:
        """Those whose final pass has something to do, the most urgent first."""
        ready = []
        for place in places:
            final = place.stream.final
            final.ended = place.stream.live_over
            if final.ended and place.ended_since is None:
                place.ended_since = now
            if place.stream.over or not final.ready():
                place.due_since = None
                continue
            if place.due_since is None:
                place.due_since = now
            ready.append(place)
        return sorted(ready, key=self._urgency)

    def finals_seconds(self, places: Sequence[ScheduledStream]) -> list[float]:
        """Estimated time of the final passes that are waited for (their client has stopped), in the order of work."""
        waited = [place for place in places if place.stream.final.ended and not place.stream.over]
        return [self._remaining(place) for place in sorted(waited, key=self._urgency)]

    def _due_steps(self, places: Sequence[ScheduledStream], now: float) -> tuple[list[DueStep], list[DueStep]]:
        """The live steps due now, the stream that has waited longest first; and those that catch up with a file."""
        due: list[DueStep] = []
        catching_up: list[DueStep] = []
        for place in places:
            if place.stream.over:
                continue
            try:
                plan = place.stream.due_step()
            except Exception as error:
                fail(place.stream, error)
                continue
            if plan is None:
                place.step_due_since = None
            elif plan.behind and place.late_seconds(now) < LATE_SECONDS:
                catching_up.append((place, plan))
            else:
                place.step_due_since = now if place.step_due_since is None else place.step_due_since
                due.append((place, plan))
        due.sort(key=lambda step: -step[0].late_seconds(now))
        return due, catching_up

    def _batch(self, due: list[DueStep]) -> list[DueStep]:
        """Those of ``due`` that are stepped together now, the first ones."""
        batch = due[: self.costs.batch(len(due))] if self.costs is not None else due
        return batch[: self.fits][: self._rows_together]

    def _urgency(self, place: ScheduledStream) -> tuple[bool, float]:
        if place.stream.final.ended:
            return False, self._remaining(place)
        return True, place.due_since or 0.0

    def _remaining(self, place: ScheduledStream) -> float:
        whole = (
            self._finals.window_cost_seconds or WINDOW_EVERY_SECONDS
        )  # where nothing is known: the order is the same
        return max(SLICE_SECONDS, place.windows_left() * whole - place.spent_seconds)

    def _share(self, finals: Sequence[ScheduledStream], now: float, speaking: int) -> float:
        """The part of the time in which every window now due is done early enough, while so many streams speak."""
        share = 0.0
        for place in finals:
            work = max(SLICE_SECONDS, self._finals.window_cost_seconds - place.spent_seconds)
            allowed = (
                PATIENCE_WINDOWS * self._finals.window_cost_seconds
                if place.stream.final.ended
                else WINDOW_EVERY_SECONDS
            )
            left = (place.due_since or now) + allowed - now
            share += work / max(left, work)
        live = self.costs.step_cost_seconds(speaking) * self.slowness if self.costs is not None else STEP_EVERY_SECONDS
        spare = 0.9 - live / STEP_EVERY_SECONDS
        return min(max(MOST_FINAL_SHARE, spare), max(FINAL_SHARE, share))

    def _step(self, due: Sequence[DueStep]) -> None:
        began = self._clock()
        for place, _ in due:
            place.step_due_since = None
        try:
            run_step(self._live, [(place.stream, plan) for place, plan in due], fail)
        except Exception as error:
            half = len(due) // 2
            if isinstance(error, torch.OutOfMemoryError):
                free_memory()
                self._note_fits(max(1, half))
            else:
                self._check_device(error)
            if half == 0:
                fail(due[0][0].stream, error)
            else:  # half as many need half the memory; and it finds the one that fails, while the others go on
                self._step(due[:half])
                self._step(due[half:])
            return
        now = self._clock()
        self.step_seconds = now - began
        self.batch_size = len(due)
        if self.costs is not None:
            self._slowness.note(now, self.step_seconds, self.costs.step_cost_seconds(len(due)))

    def _note_fits(self, streams: int) -> None:
        """A larger step found no memory: none is so large from now on, and fewer are let in."""
        if self.fits is None or streams < self.fits:
            self.fits = streams
            log.warning("the device's memory is full: at most %d streams are stepped together from now on", streams)

    def _check_device(self, error: Exception) -> None:
        """Raise ``DeviceLost`` where ``error`` was the device's, for good."""
        if isinstance(error, RuntimeError) and not self._device_computes():
            raise DeviceLost from error

    def _report(self, place: ScheduledStream, now: float) -> None:
        """Say how far a final pass is, also while it waits for its turn: a client takes silence for a failure."""
        try:
            if place.due_since is not None:
                place.stream.send_progress(now)
        except Exception as error:
            fail(place.stream, error)
