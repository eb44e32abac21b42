"""How a service does at one moment, for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One session: its state, seconds of audio, seconds that its live text is behind, and its text so far."""

    session_id: str
    state: str
    attached: bool
    audio_seconds: float
    lag_seconds: float
    committed_text: str
    live_text: str
    final_text: str | None
    problem: str


@dataclass(frozen=True, slots=True)
class Status:
    """The service.

    Attributes:
        state: ``running`` or ``stopped``.
        link: with the token; "" once stopped.
        tunnel: who carries the public link, and whether it still does; "" for none.
        busy: fraction of the last seconds in which the engine worked, 0..1.
        step_seconds, lag_seconds: the latest live step, and the most audio that any stream has waiting.
        memory_bytes: the device's memory in use; None where it cannot be told.
        sessions: open and kept ones, the newest first.
        speakers: as the card's.
        late: live text is so late that nobody more is let in.
        finals_held: final passes give way to live text that is late; nobody more is let in either.
        slowness: how many times longer live steps take than measured.
        problems: what is wrong with the threads that keep its promises, each in some words.
        finals_waiting, finals_seconds: finals that are waited for, and the work left on them.
    """

    state: str
    link: str = field(repr=False)
    tunnel: str
    model: str
    device: str
    busy: float
    step_seconds: float
    lag_seconds: float
    memory_bytes: int | None
    sessions: tuple[SessionStatus, ...]
    speakers: str = ""
    late: bool = False
    finals_held: bool = False
    slowness: float = 1.0
    problems: tuple[str, ...] = ()
    finals_waiting: int = 0
    finals_seconds: float = 0.0
