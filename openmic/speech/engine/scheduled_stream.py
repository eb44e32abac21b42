"""A stream as the scheduler sees it: how late its live text is, how much its final pass has to do."""

from __future__ import annotations

from dataclasses import dataclass

from whisper.audio import FRAMES_PER_SECOND, HOP_LENGTH

from openmic.audio.types import SAMPLE_RATE
from openmic.speech.engine.costs import WINDOW_EVERY_SECONDS
from openmic.speech.engine.stream import EngineStream
from openmic.speech.final.passes import WalkInStep

SHORTEST_WINDOW = 0.4  # of a whole window's time: what a window with little in it takes


@dataclass(slots=True, eq=False)
class ScheduledStream:
    """One stream and what its turns depend on.

    Attributes:
        stream: the stream.
        opened: when it came, by the engine's clock.
        step_due_since: since when it has been due for a live step; None: it is not.
        due_since: since when its final pass has had something to do; None: it has not.
        ended_since: since when its final text is waited for; None: it is not.
        spent_seconds: time that the final window under way has taken so far.
        in_step: its final pass where it goes step by step with others.
        window_without_memory: number of the final window that found no memory at its first try; None: none did.
    """

    stream: EngineStream
    opened: float
    step_due_since: float | None = None
    ended_since: float | None = None
    due_since: float | None = None
    spent_seconds: float = 0.0
    window_without_memory: int | None = None
    in_step: WalkInStep | None = None

    def late_seconds(self, now: float) -> float:
        """How long speech has been waiting for a live step; what came faster than it was spoken waits from then on.

        Behind the last word of all the recording does not grow, and the wait does.
        """
        stream = self.stream
        ahead = len(stream.recording) / SAMPLE_RATE - (now - self.opened)
        due_since = self.step_due_since
        due = now - due_since if due_since is not None else 0.0
        return max(0.0, due, stream.waiting_seconds() - max(0.0, ahead))

    def waited_seconds(self, now: float) -> float:
        """How long its final text has been waited for."""
        return now - self.ended_since if self.ended_since is not None else 0.0

    def windows_left(self) -> float:
        """Final windows that could be done now, in whole windows."""
        final = self.stream.final
        if final.speculation_complete():
            return 0.0
        mel_frames = len(self.stream.recording) // HOP_LENGTH - final.state.seek
        windows = mel_frames / (WINDOW_EVERY_SECONDS * FRAMES_PER_SECOND)
        return max(windows, SHORTEST_WINDOW) if final.ended else max(0.0, float(int(windows)))
