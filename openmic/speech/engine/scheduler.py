"""Whose turn it is: live steps of all streams and final passes on one device.

**Live first.** Of the streams that want a step, those whose oldest unheard audio has waited longest are stepped
together, as many as ``Costs.batch`` says; then one looks again. So an idle device steps often, a busy one finds more
new audio when it comes round, and no stream is passed over: who waits moves to the front.

**Final passes** fill the time between, ``SLICE_SECONDS`` at a time, and are owed a part of it while live steps are
always due: as much as they need for every window to be done before the stream's next one is due, between
``FINAL_SHARE`` and ``MOST_FINAL_SHARE``. Streams whose client has stopped come first, of them the one that is nearest
to its end (shortest remaining time first, which makes the mean wait least); of the others the one whose window has been
due longest.

**Time that nobody wants** goes to who is silent for a moment and may have finished (``final/speculation.py``).

**Catching up.** A stream with more unheard audio than a window holds because it was sent faster than it was spoken (a
file) steps alone, in the same time as final passes. One that fell behind as it was spoken is late, and goes first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from whisper.audio import FRAMES_PER_SECOND, HOP_LENGTH

from openmic.audio.types import SAMPLE_RATE
from openmic.errors import OpenmicError
from openmic.speech.device import free_memory
from openmic.speech.engine.costs import STEP_EVERY_SECONDS, WINDOW_EVERY_SECONDS, Costs
from openmic.speech.engine.stream import EngineStream, LiveDecoder, StepPlan, run_step
from openmic.speech.problems import PROBLEMS

log = logging.getLogger(__name__)

SLICE_SECONDS = 0.05  # how long final passes work before live steps are looked at again
FINAL_SHARE = 0.25  # of the time, the least that final passes get while live steps are always due
MOST_FINAL_SHARE = 0.5  # and the most, unless live steps need less than the rest at their slowest cadence
PATIENCE_WINDOWS = 3.0  # one who waits for a final is owed a window's work in so many times its own duration
SHORTEST_WINDOW = 0.4  # of a whole window's time: what a window with little in it takes
LATE_SECONDS = 3.0  # speech that has waited longer than this for its live step is late
LEARNING = 0.2  # weight of the newest window in the mean time of a final window


@dataclass(slots=True, eq=False)
class ScheduledStream:
    """One stream and what its turns depend on.

    Attributes:
        stream: the stream.
        opened: when it came, by the engine's clock.
        due_since: since when its final pass has had something to do; None: it has not.
        spent: time that the final window under way has taken so far.
    """

    stream: EngineStream
    opened: float
    due_since: float | None = None
    spent: float = 0.0

    def late_seconds(self, now: float) -> float:
        """How long speech has been waiting for a live step; what came faster than it was spoken waits from then on."""
        stream = self.stream
        ahead = len(stream.recording) / SAMPLE_RATE - (now - self.opened)
        return max(0.0, stream.waiting_seconds() - max(0.0, ahead))

    def windows_left(self) -> float:
        """Final windows that could be done now, in whole windows."""
        final = self.stream.final
        if final.speculation_complete():
            return 0.0
        mel_frames = len(self.stream.recording) // HOP_LENGTH - final.state.seek
        windows = mel_frames / (WINDOW_EVERY_SECONDS * FRAMES_PER_SECOND)
        return max(windows, SHORTEST_WINDOW) if final.ended else float(int(windows))


DueStep = tuple[ScheduledStream, StepPlan]


class Scheduler:
    """Does the most urgent piece of work there is.

    Args:
        live: decodes live windows.
        costs: what was measured; None: not known, then all streams are stepped together.
        clock: in seconds, monotonic.

    Attributes:
        costs: as the argument; it may change.
        final_window_cost_seconds: mean time of a final window; 0 until known.
        step_seconds, batch_size: the latest live step's time, and how many streams it served.
    """

    def __init__(self, live: LiveDecoder, costs: Costs | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._live = live
        self.costs = costs
        self._clock = clock
        self._debt = 0.0  # time owed to final passes
        self.final_window_cost_seconds = costs.final_window_cost_seconds if costs is not None else 0.0
        self.step_seconds = 0.0
        self.batch_size = 0

    def close(self) -> None:
        """Let go of the model; ``take`` is not called any more."""
        del self._live

    def take(self, places: Sequence[ScheduledStream]) -> bool:
        """Do one live step, or one slice of a final pass, or nothing; False if there was nothing to do."""
        now = self._clock()
        due, catching_up = self._due_steps(places, now)
        finals = self.ready_finals(places, now)
        if due and not (self._debt > SLICE_SECONDS and (finals or catching_up)):
            batch = due[: self.costs.batch(len(due))] if self.costs is not None else due
            self._step(batch)
            share = self._share(finals, now, len(due)) if finals else FINAL_SHARE if catching_up else 0.0
            self._debt += (self._clock() - now) * share / (1.0 - share)
            return True
        if not finals and not catching_up:
            self._debt = 0.0
            return any(self._speculate(place) for place in places)
        if catching_up:
            self._step(catching_up[:1])
        if finals:
            self._slice(finals[0])
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
            try:
                plan = place.stream.due_step()
            except Exception as error:
                fail(place.stream, error)
                continue
            if plan is not None:
                behind = plan.behind and place.late_seconds(now) < LATE_SECONDS
                (catching_up if behind else due).append((place, plan))
        due.sort(key=lambda step: -step[0].late_seconds(now))
        return due, catching_up

    def _urgency(self, place: ScheduledStream) -> tuple[bool, float]:
        if place.stream.final.ended:
            return False, self._remaining(place)
        return True, place.due_since or 0.0

    def _remaining(self, place: ScheduledStream) -> float:
        whole = self.final_window_cost_seconds or WINDOW_EVERY_SECONDS  # where nothing is known: the order is the same
        return max(SLICE_SECONDS, place.windows_left() * whole - place.spent)

    def _share(self, finals: Sequence[ScheduledStream], now: float, speaking: int) -> float:
        """The part of the time in which every window now due is done early enough, while so many streams speak."""
        share = 0.0
        for place in finals:
            work = max(SLICE_SECONDS, self.final_window_cost_seconds - place.spent)
            allowed = (
                PATIENCE_WINDOWS * self.final_window_cost_seconds if place.stream.final.ended else WINDOW_EVERY_SECONDS
            )
            left = (place.due_since or now) + allowed - now
            share += work / max(left, work)
        spare = 0.9 - self.costs.step_cost_seconds(speaking) / STEP_EVERY_SECONDS if self.costs is not None else 0.0
        return min(max(MOST_FINAL_SHARE, spare), max(FINAL_SHARE, share))

    def _step(self, due: Sequence[DueStep]) -> None:
        began = self._clock()
        try:
            run_step(self._live, [(place.stream, plan) for place, plan in due], fail)
        except Exception as error:
            if isinstance(error, torch.OutOfMemoryError):
                free_memory()
            half = len(due) // 2
            if half == 0:
                fail(due[0][0].stream, error)
            else:  # half as many need half the memory; and it finds the one that fails, while the others go on
                self._step(due[:half])
                self._step(due[half:])
            return
        self.step_seconds = self._clock() - began
        self.batch_size = len(due)

    def _slice(self, place: ScheduledStream) -> None:
        stream, final = place.stream, place.stream.final
        began = now = self._clock()
        seek = final.state.seek
        try:
            for pause in stream.walk:
                now = self._clock()
                if final.state.seek != seek:
                    self._window_done(place, final.state.seek - seek, now - began)
                    began, seek = now, final.state.seek
                if pause == "waiting" or now - began > SLICE_SECONDS:
                    place.spent += now - began
                    stream.send_progress(now)
                    return
            stream.send(final.result())
        except Exception as error:
            fail(stream, error)
            return
        stream.over = True

    def _speculate(self, place: ScheduledStream) -> bool:
        """Work for a slice on what the stream would want if its speaker stopped now; False if there is nothing."""
        began, worked = self._clock(), False
        try:
            while self._clock() - began <= SLICE_SECONDS and place.stream.final.speculate():
                worked = True
        except Exception as error:
            fail(place.stream, error)
            return True
        return worked

    def _window_done(self, place: ScheduledStream, mel_frames: int, seconds: float) -> None:
        whole = place.spent + seconds
        place.spent = 0.0
        place.due_since = self._clock()  # its next window, if that is complete already, queues behind the others'
        if mel_frames >= WINDOW_EVERY_SECONDS * FRAMES_PER_SECOND / 2 and not place.stream.final.ended:
            known = self.final_window_cost_seconds or whole
            self.final_window_cost_seconds = known + LEARNING * (whole - known)


def fail(stream: EngineStream, error: Exception) -> None:
    """End a stream on which the model failed; its session may be what is at fault, and raise here too."""
    log.exception("the model failed on a stream", exc_info=error)
    if not isinstance(error, OpenmicError):
        error = PROBLEMS.error("engine_failed", detail=type(error).__name__)
    try:
        stream.fail(error)
    except Exception:
        log.exception("a stream that failed could not be told so")
