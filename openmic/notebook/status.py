"""The state of a service at one moment, to be displayed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One session: its state, seconds of audio, seconds that its live text is behind, and its text so far.

    ``holder`` is the other server that has it, "" where this one does; ``holder_silent``: it may have died.
    """

    session_id: str
    state: str
    attached: bool
    audio_seconds: float
    lag_seconds: float
    committed_text: str
    live_text: str
    final_text: str | None
    problem: str
    holder: str = ""
    holder_silent: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """The service some seconds ago.

    Attributes:
        seconds_ago: how long ago.
        speakers: how many spoke, of so many ``places``.
        busy: part of the time in which the device worked, 0..1.
        memory_bytes: the device's memory in use; None where it cannot be told.
        delay_p50_seconds, delay_p90_seconds: what live text was behind, the middle and the ninth of
            ten; None: nobody spoke.
    """

    seconds_ago: float
    speakers: int
    places: int
    busy: float
    memory_bytes: int | None
    delay_p50_seconds: float | None
    delay_p90_seconds: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """The service.

    Attributes:
        state: ``running``, ``stopping`` or ``stopped``.
        link: with the token; "" once stopped.
        tunnel: the provider of the public link, and whether it is up; "" for none.
        busy: fraction of the last seconds in which the engine worked, 0..1.
        memory_bytes: the device's memory in use; None where it cannot be told.
        sessions: those of this service that are open or kept, the newest first.
        speakers: as the card's.
        places: how many may speak at once.
        late: live text is so late that nobody more is let in.
        finals_held: final passes give way to live text that is late; nobody more is let in either.
        slowness: how many times longer live steps take than measured.
        problems: what is wrong with the threads that keep its promises, each in some words.
        finals_waiting, finals_seconds: finals that are waited for, and the work left on them.
        earlier: how many ended recordings of earlier services are kept here; their texts are not shown.
        history: the last minutes, the oldest first.
    """

    state: str
    link: str = field(repr=False)
    tunnel: str
    model: str
    device: str
    busy: float
    memory_bytes: int | None
    sessions: tuple[SessionStatus, ...]
    speakers: str = ""
    places: int = 0
    late: bool = False
    finals_held: bool = False
    slowness: float = 1.0
    problems: tuple[str, ...] = ()
    finals_waiting: int = 0
    finals_seconds: float = 0.0
    earlier: int = 0
    history: tuple[Moment, ...] = ()

    @property
    def speaking(self) -> int:
        """How many speak here now."""
        return sum(session.state == "receiving" and not session.holder for session in self.sessions)

    @property
    def speaking_elsewhere(self) -> int:
        """How many speak at other servers that share the folder."""
        return sum(session.state == "receiving" and bool(session.holder) for session in self.sessions)

    @property
    def delay_p50_seconds(self) -> float | None:
        """Seconds that live text is behind now, the middle one; None: nobody speaks."""
        return self.history[-1].delay_p50_seconds if self.history else None

    @property
    def delay_p90_seconds(self) -> float | None:
        """The same for the ninth of ten."""
        return self.history[-1].delay_p90_seconds if self.history else None
