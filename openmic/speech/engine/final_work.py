"""Final passes, a slice of time at a time: one stream's on a processor, several streams' side by side on a GPU.

A GPU is given work and does it later, so a clock that is read then has seen nothing of it. After each step of a walk
the work given before that step is waited for (``WorkQueue``): a slice ends when its time is over, not when all of it is
queued.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from whisper.audio import FRAMES_PER_SECOND

from openmic.speech.device import free_memory
from openmic.speech.engine.costs import WINDOW_EVERY_SECONDS
from openmic.speech.engine.failures import fail
from openmic.speech.engine.scheduled_stream import ScheduledStream
from openmic.speech.final.passes import WalkInStep, answer_together

log = logging.getLogger(__name__)

SLICE_SECONDS = 0.05  # how long final passes work before live steps are looked at again
LEARNING = 0.2  # weight of the newest window in the mean time of a final window


class WorkQueue(Protocol):
    """Work that a device was given and may not have done: ``device.DeviceQueue``."""

    def mark(self) -> None:
        """Wait for all work but what was given since the last mark."""

    def drain(self) -> None:
        """Wait for all work."""


class FinalWork:
    """Does slices of final passes.

    Args:
        window_cost_seconds: time of a final window; 0: not known.
        clock: in seconds, monotonic.
        queue: of the device.
        check_device: called with what a pass raised; raises ``DeviceLost`` where that was the device's.
        together: streams whose windows are decoded side by side, at most.

    Attributes:
        window_cost_seconds: mean time of a final window, as windows are done now; 0 until known.
        together: as the argument; half as many from the moment at which they found no memory.
    """

    def __init__(
        self,
        window_cost_seconds: float,
        clock: Callable[[], float],
        queue: WorkQueue,
        check_device: Callable[[Exception], None],
        together: int,
    ) -> None:
        self.window_cost_seconds = window_cost_seconds
        self.together = together
        self._side_by_side = together > 1
        self._clock = clock
        self._queue = queue
        self._check_device = check_device

    def slice(self, finals: Sequence[ScheduledStream]) -> None:
        """Work for a slice of time on the first of ``finals``, or on some of them together."""
        if self._side_by_side:
            self._together(finals[: self.together])
        else:
            self._alone(finals[0])

    def speculate(self, place: ScheduledStream) -> bool:
        """Work for a slice on what the stream would want if its speaker stopped now; False if there is nothing."""
        began, worked = self._clock(), False
        try:
            while self._clock() - began <= SLICE_SECONDS and place.stream.final.speculate():
                worked = True
                self._queue.mark()
            self._queue.drain()
        except Exception as error:
            self._check_device(error)
            fail(place.stream, error)
            return True
        return worked

    def _alone(self, place: ScheduledStream) -> None:
        stream, final = place.stream, place.stream.final
        began = now = self._clock()
        seek = final.state.seek
        try:
            for pause in stream.walk:
                self._queue.mark()
                now = self._clock()
                stream.send_windows()
                if final.state.seek != seek:
                    self._window_done(place, final.state.seek - seek, now - began)
                    began, seek = now, final.state.seek
                if pause == "waiting" or now - began > SLICE_SECONDS:
                    self._queue.drain()
                    place.spent_seconds += self._clock() - began
                    return
            stream.send(final.result())
        except torch.OutOfMemoryError as error:
            self._without_memory(place, error)
            return
        except Exception as error:
            self._check_device(error)
            fail(stream, error)
            return
        stream.over = True

    def _together(self, finals: Sequence[ScheduledStream]) -> None:
        """Walks that wait for a pass wait until all of them do; then they have theirs in one."""
        began, active = self._clock(), list(finals)
        while active and self._clock() - began <= SLICE_SECONDS:
            round_began, shared = self._clock(), active
            going = [place for place in active if in_step(place).wanted is None]
            if going:
                ended = [place for place in going if not self._advance(place)]
                active = [place for place in active if place not in ended]
            else:
                active = self._answer(active)
            self._queue.mark()
            self._share_out(shared, self._clock() - round_began)
        round_began = self._clock()
        self._queue.drain()
        self._share_out(finals, self._clock() - round_began)

    def _share_out(self, places: Sequence[ScheduledStream], seconds: float) -> None:
        for place in places:
            place.spent_seconds += seconds / len(places)

    def _advance(self, place: ScheduledStream) -> bool:
        """Have a walk do a step; whether it can go on now."""
        stream, final = place.stream, place.stream.final
        seek = final.state.seek
        try:
            pause = in_step(place).advance()
            stream.send_windows()
        except StopIteration:
            try:
                stream.send(final.result())
            except Exception as error:
                fail(stream, error)
                return False
            stream.over = True
            return False
        except torch.OutOfMemoryError as error:
            self._without_memory(place, error)
            return False
        except Exception as error:
            self._check_device(error)
            fail(stream, error)
            return False
        if final.state.seek != seek:
            self._window_done(place, final.state.seek - seek, 0.0)
        return pause != "waiting"

    def _answer(self, active: list[ScheduledStream]) -> list[ScheduledStream]:
        """Do the passes that all of ``active`` wait for; returns those that can go on now."""
        try:
            answer_together([in_step(place) for place in active])
        except torch.OutOfMemoryError as error:
            if len(active) == 1:
                self._without_memory(active[0], error)
                return []
            free_memory()
            self.together = len(active) // 2
            log.warning("the device's memory is full: at most %d final windows are decoded together", self.together)
            return active[: self.together]
        except Exception as error:
            self._check_device(error)
            if len(active) == 1:
                fail(active[0].stream, error)
                return []
            return [place for one in active for place in self._answer([one])]  # finds the one that fails
        return active

    def _without_memory(self, place: ScheduledStream, error: torch.OutOfMemoryError) -> None:
        """A window found no memory: it is begun again, once, with what nobody holds any more given back."""
        place.stream.walk.close()
        free_memory()
        if place.window_without_memory == place.stream.final.state.windows:
            fail(place.stream, error)
            return
        place.window_without_memory = place.stream.final.state.windows
        place.stream.walk, place.in_step = place.stream.final.walk(), None

    def _window_done(self, place: ScheduledStream, mel_frames: int, seconds: float) -> None:
        whole = place.spent_seconds + seconds
        place.spent_seconds = 0.0
        place.due_since = self._clock()  # its next window, if that is complete already, queues behind the others'
        if mel_frames >= WINDOW_EVERY_SECONDS * FRAMES_PER_SECOND / 2 and not place.stream.final.ended:
            known = self.window_cost_seconds or whole
            self.window_cost_seconds = known + LEARNING * (whole - known)


def in_step(place: ScheduledStream) -> WalkInStep:
    """The stream's walk as one that goes step by step with others."""
    if place.in_step is None:
        place.in_step = WalkInStep(place.stream.walk)
    return place.in_step
