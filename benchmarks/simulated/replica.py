"""One replica in virtual time: the engine's own scheduler and the sessions' own admission, over speakers without sound.

What is pretended: the time of a step and of a final window (as they were measured), and streams that have no samples
and decode nothing. Whose turn it is, how many are stepped together, who is late and who is let in is openmic's code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from whisper.audio import FRAMES_PER_SECOND, N_FRAMES

from benchmarks.simulated.speakers import GIVEN_UP_SECONDS, PIECE_SECONDS, Speaker
from openmic.audio.types import SAMPLE_RATE
from openmic.cluster.places import FREE, OPEN
from openmic.sessions.admission import free_places, make_room
from openmic.settings import Settings
from openmic.speech.engine.costs import WINDOW_EVERY_SECONDS, Costs
from openmic.speech.engine.overload import HELD_BACK_SECONDS, LATE_FOR_SECONDS, LATE_SECONDS, Episode
from openmic.speech.engine.scheduled_stream import SHORTEST_WINDOW, ScheduledStream
from openmic.speech.engine.scheduler import Scheduler
from openmic.speech.engine.stream import StepPlan
from openmic.speech.final.walk_state import WalkState
from openmic.speech.live.hypothesis import Hypothesis, StepInput
from openmic.speech.types import EngineStats, FinalText, SpeechEvent

WINDOW_PIECES = 5  # in which a final window's time passes
CONTEXT_SECONDS = 6.0  # of a live window that were in the one before
NOTED_SECONDS = 0.25  # between two looks whether speakers are late; an episode takes what lies between for the same
MEL_FRAMES_PER_PIECE: int = round(PIECE_SECONDS * FRAMES_PER_SECOND)
NOTHING_HEARD = Hypothesis((), "en", 0.0, 0.0, False)


@dataclass(slots=True)
class Clock:
    """A replica's own: its device may be in the middle of a step when the others look."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class _Live:
    """A live decoder that takes the time that was measured."""

    def __init__(self, costs: Costs, clock: Clock) -> None:
        self._costs, self._clock = costs, clock

    def step(self, requests: Sequence[StepInput]) -> list[Hypothesis]:
        """Let a step's time pass."""
        self._clock.now += self._costs.step_cost_seconds(len(requests))
        return [NOTHING_HEARD] * len(requests)


class _Samples:
    """How many samples of a speaker there are now."""

    def __init__(self, speaker: Speaker, clock: Clock) -> None:
        self._speaker, self._clock = speaker, clock

    def __len__(self) -> int:
        return round(self._speaker.spoken_pieces(self._clock.now) * PIECE_SECONDS * SAMPLE_RATE)


@dataclass(slots=True)
class _Final:
    """A ``FinalPass`` whose windows take the time that was measured."""

    speaker: Speaker
    costs: Costs
    clock: Clock
    ended: bool = False
    state: WalkState = field(default_factory=WalkState)

    def ready(self) -> bool:
        """A whole window is there, or the rest of all."""
        spoken = self.speaker.spoken_pieces(self.clock.now) * MEL_FRAMES_PER_PIECE
        return self.ended or spoken >= self.state.seek + N_FRAMES

    def ready_at(self) -> float:
        """When the next window will be whole."""
        whole: int = self.state.seek + N_FRAMES
        return self.speaker.begins + math.ceil(whole / MEL_FRAMES_PER_PIECE) * PIECE_SECONDS

    def walk(self) -> Iterator[str]:
        """Let the time of all windows pass, a little at a time."""
        while True:
            while not self.ready():
                yield "waiting"
            left = self.speaker.pieces * MEL_FRAMES_PER_PIECE - self.state.seek if self.ended else N_FRAMES
            if left <= 0:
                return
            part = min(1.0, max(SHORTEST_WINDOW, left / (WINDOW_EVERY_SECONDS * FRAMES_PER_SECOND)))
            for _ in range(WINDOW_PIECES):
                self.clock.now += self.costs.final_window_cost_seconds * part / WINDOW_PIECES
                yield "working"
            self.state.seek += min(left, round(WINDOW_EVERY_SECONDS * FRAMES_PER_SECOND))
            self.speaker.walked_mel_frames = self.state.seek

    def speculate(self) -> bool:
        """Nobody pauses."""
        return False

    def speculation_complete(self) -> bool:
        """Nothing was found in a pause."""
        return False

    def result(self) -> FinalText:
        """The words do not matter."""
        return FinalText("", "en", self.speaker.seconds, (), "simulated")


class _Stream:
    """An ``EngineStream`` without sound."""

    def __init__(self, speaker: Speaker, costs: Costs, settings: Settings, clock: Clock) -> None:
        self.speaker = speaker
        self._clock = clock
        self.recording = _Samples(speaker, clock)
        self.final = _Final(speaker, costs, clock, state=WalkState(seek=speaker.walked_mel_frames))
        self.walk = self.final.walk()
        self._step_pieces = round(settings.live_step_seconds / PIECE_SECONDS)
        self._new_pieces = round((settings.live_window_seconds - CONTEXT_SECONDS) / PIECE_SECONDS)
        self.over = False
        self.live_over = speaker.stopped

    def due_step(self) -> StepPlan | None:
        """As ``EngineStream.due_step``, of one who speaks without a pause."""
        speaker = self.speaker
        spoken, heard = speaker.spoken_pieces(self._clock.now), speaker.heard_pieces
        finished = spoken == speaker.pieces
        if finished and (spoken - heard) * PIECE_SECONDS > GIVEN_UP_SECONDS:
            speaker.skip_rest()
            heard = spoken
        if finished and heard == spoken:
            self.live_over = speaker.stopped = True
            return None
        behind = spoken - heard > self._new_pieces
        if not (finished or behind or spoken - heard >= self._step_pieces):
            return None
        return StepPlan(heard, heard + self._new_pieces if behind else spoken, finished and not behind, behind)

    def due_at(self) -> float:
        """When there will be something to do, if there is nothing now."""
        speaker = self.speaker
        if self.live_over:
            return self._clock.now
        step = speaker.begins + min(speaker.pieces, speaker.heard_pieces + self._step_pieces) * PIECE_SECONDS
        return min(step, self.final.ready_at())

    def step_input(self, plan: StepPlan) -> Any:
        """Nothing is decoded."""
        return plan

    def apply_step(self, plan: StepPlan, hypothesis: Hypothesis) -> None:
        """Live text knows the window now."""
        self.speaker.show(plan.end_sample, self._clock.now)

    def waiting_seconds(self) -> float:
        """Speech that no live step has seen yet."""
        speaker = self.speaker
        return (speaker.spoken_pieces(self._clock.now) - speaker.heard_pieces) * PIECE_SECONDS

    def send_progress(self, now: float) -> None:
        """Nobody listens."""

    def send_windows(self) -> None:
        """The speaker has them."""

    def send(self, event: SpeechEvent) -> None:
        """The final text."""
        self.speaker.end(self._clock.now)

    def fail(self, error: Exception) -> None:
        """Nothing in here may."""
        raise error


class Replica:
    """A GPU and its speakers.

    Args:
        name: of it.
        costs: of its engine.
        settings: live steps and limits are read.
        now: when it begins, in virtual seconds.
    """

    def __init__(self, name: str, costs: Costs, settings: Settings, now: float = 0.0) -> None:
        self.name = name
        self.said: dict[str, int] = {}  # what the router knows of it
        self._costs, self._settings = costs, settings
        self._clock = Clock(now)
        self._turns = Scheduler(cast(Any, _Live(costs, self._clock)), costs, self._clock)
        self._places: list[ScheduledStream] = []
        self._late, self._finals_held = Episode(LATE_FOR_SECONDS), Episode(HELD_BACK_SECONDS)
        self._noted_at = now
        self._over: list[Speaker] = []
        self.busy_seconds = 0.0

    @property
    def speakers(self) -> list[Speaker]:
        """All that have no final yet."""
        return [cast(_Stream, place.stream).speaker for place in self._places]

    @property
    def connections(self) -> int:
        """How many of them there are."""
        return len(self._places)

    @property
    def capacity(self) -> int:
        """See ``Engine.capacity``."""
        return self._costs.capacity(self._turns.slowness)

    def stats(self) -> EngineStats:
        """See ``Engine.stats``, as far as admission asks."""
        finals = self._turns.finals_seconds(self._places)
        return EngineStats(
            late=self._late.lasts,
            finals_held=self._finals_held.lasts,
            finals_seconds=sum(finals),
            next_final_seconds=finals[0] if finals else None,
        )

    @property
    def free_places(self) -> int:
        """How many more it would let in now."""
        return free_places(cast(Any, self.speakers), self._settings, cast(Any, self))

    def say(self) -> None:
        """Tell the router what it has and would let in."""
        self.said = {OPEN: self.connections, FREE: self.free_places}

    def admit(self, speaker: Speaker) -> None:
        """Let somebody begin.

        Raises:
            ServerFull: there is no room.
        """
        make_room(cast(Any, self.speakers), self._settings, cast(Any, self))
        self.take(speaker)

    def take(self, speaker: Speaker) -> None:
        """Have a session, which begins or comes from another replica; it is not asked whether there is room."""
        stream = cast(Any, _Stream(speaker, self._costs, self._settings, self._clock))
        self._places.append(ScheduledStream(stream, self._clock.now))

    def let_go(self) -> list[Speaker]:
        """Everybody who is still here; nobody is any more."""
        speakers, self._places = self.speakers, []
        return speakers

    def play(self, until: float) -> list[Speaker]:
        """Let the engine work until then; a step that has begun is finished. Returns those who have got their final."""
        clock = self._clock
        while clock.now < until:
            began = clock.now
            if self._turns.take(self._places):
                self.busy_seconds += clock.now - began
                self._places = [place for place in self._places if not place.stream.over or self._ended(place)]
            else:
                due = min((cast(_Stream, place.stream).due_at() for place in self._places), default=until)
                clock.now = min(until, max(due, clock.now))
            self._note()
        over, self._over = self._over, []
        return over

    def _ended(self, place: ScheduledStream) -> bool:
        self._over.append(cast(_Stream, place.stream).speaker)
        return False

    def _note(self) -> None:
        now = self._clock.now
        if now - self._noted_at >= NOTED_SECONDS:
            self._noted_at = now
            self._late.note(now, any(place.late_seconds(now) > LATE_SECONDS for place in self._places))
            self._finals_held.note(now, self._turns.finals_give_way)
