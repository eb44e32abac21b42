"""The dashboard's picture: a status as HTML with charts, and as text for front ends without it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from openmic.notebook.card import LINK, QUIET, STYLE
from openmic.notebook.charts import BLUE, GREEN, ORANGE, VIOLET, Line, Point, chart
from openmic.notebook.status import Moment, SessionStatus, Status

HISTORY_SECONDS = 300.0
LATE_SECONDS = 3.0  # the least that the delay's chart is high: text that is so late is not live any more
NOTED_SLOWNESS = 1.5  # a step that takes so many times as long as measured is no chance
SHOWN_SESSIONS = 12
_ROW = "border-top:1px solid rgba(128,128,128,.3);margin-top:.5em;padding-top:.4em"
_SHOWN_CHARACTERS = 400  # of each session's text: its end
_STATES = {"receiving": "speaking", "finishing": "the final text is being made", "ended": "done"}
_TITLES = {"running": "openmic is on", "stopping": "openmic is stopping", "stopped": "openmic has ended"}


def status_html(status: Status, words: bool = False) -> str:
    """The whole picture; every word of others is escaped.

    Args:
        status: what is shown.
        words: with what people say.
    """
    link = escape(status.link, quote=True)
    anchor = f'<a href="{link}" target="_blank" rel="noopener noreferrer" style="{LINK}">{link}</a>' if link else ""
    charts = f'<div style="display:flex;flex-wrap:wrap;gap:12px 24px;margin:.8em 0">{_charts(status)}</div>'
    sessions = "".join(_row(session, words) for session in status.sessions[:SHOWN_SESSIONS])
    notes = "".join(f'<p style="{QUIET}">{escape(note)}</p>' for note in _notes(status, words))
    return (
        f'<div style="{STYLE};max-width:none"><strong>{_title(status)}</strong> {anchor}'
        f'<p style="margin:.4em 0">{escape(_summary(status))}</p>{_warnings(status)}'
        f"{charts if status.state == 'running' else ''}{sessions}{notes}</div>"
    )


def status_text(status: Status, words: bool = False) -> str:
    """The same for a front end that shows text alone."""
    lines = [f"{_title(status)} {status.link}".strip(), _summary(status), *_troubles(status)]
    for session in status.sessions[:SHOWN_SESSIONS]:
        said = _end(_text(session)) if words else ""
        lines.append("  ".join(part for part in (session.session_id[:8], _facts(session), said) if part))
    return "\n".join(lines + _notes(status, words))


def _title(status: Status) -> str:
    return _TITLES.get(status.state, escape(status.state))


def _summary(status: Status) -> str:
    """In the reader's words."""
    carries = f": {status.speakers}" if status.speakers else ""
    parts = [f"Whisper {status.model} on {status.device}{carries}"]
    if status.state == "running":
        parts.append(status.tunnel or "no public link")
        parts.append("nobody speaks" if not status.speaking else _people(status.speaking, "speaks", "speak"))
        if status.speaking_elsewhere:
            parts.append(f"at other servers {_people(status.speaking_elsewhere, 'speaks', 'speak')}")
    if status.finals_waiting:
        waiting = _people(status.finals_waiting, "waits", "wait")
        parts.append(f"{waiting} for the final text (about {status.finals_seconds:.0f} s)")
    return " · ".join(parts)


def _people(count: int, one: str, many: str) -> str:
    return f"1 person {one}" if count == 1 else f"{count} people {many}"


def _troubles(status: Status) -> list[str]:
    troubles = [f"Something is not well ({problem}): see the log." for problem in status.problems]
    if status.slowness >= NOTED_SLOWNESS:
        troubles.append(f"The device takes {status.slowness:.1f} times as long as measured: something else uses it.")
    if status.late:
        troubles.append("The text is late: nobody more is let in until it has caught up.")
    elif status.finals_held:
        troubles.append("Too much to do: final texts wait for live ones, and nobody more is let in for a while.")
    return troubles


def _warnings(status: Status) -> str:
    style = f"margin:.4em 0;padding-left:.6em;border-left:3px solid {ORANGE}"
    return "".join(f'<p style="{style}">{escape(trouble)}</p>' for trouble in _troubles(status))


def _charts(status: Status) -> str:
    def line(read: Callable[[Moment], float | None]) -> list[Point]:
        return [(moment.seconds_ago, read(moment)) for moment in status.history]

    middle, most = line(lambda one: one.delay_p50_seconds), line(lambda one: one.delay_p90_seconds)
    delay_top = max([LATE_SECONDS, *(value for _, value in most if value is not None)])
    speakers, places = line(lambda one: one.speakers), line(lambda one: one.places)
    speakers_top = max([1.0, status.places, *(value for _, value in speakers + places if value is not None)]) * 1.1
    charts = [
        chart(
            "The text is behind by",
            *_delay(status),
            [Line(most, ORANGE, dashed=True), Line(middle, BLUE, filled=True)],
            HISTORY_SECONDS,
            delay_top,
            f"height: {delay_top:.0f} s",
        ),
        chart(
            "People speaking",
            str(status.speaking),
            f"room for {status.places}",
            [Line(places, ORANGE, dashed=True), Line(speakers, GREEN, filled=True)],
            HISTORY_SECONDS,
            speakers_top,
        ),
        chart(
            "The device works",
            f"{status.busy:.0%}",
            "of the time",
            [Line(line(lambda one: one.busy), BLUE, filled=True)],
            HISTORY_SECONDS,
            1.0,
            "height: 100%",
        ),
    ]
    if status.memory_bytes is not None:  # a processor's is everybody's
        memory = line(lambda one: None if one.memory_bytes is None else one.memory_bytes / 2**30)
        top = max([1.0, *(value for _, value in memory if value is not None)]) * 1.25
        used = f"{status.memory_bytes / 2**30:.1f} GiB"
        lines = [Line(memory, VIOLET, filled=True)]
        charts.append(chart("Memory", used, "in use", lines, HISTORY_SECONDS, top, f"height: {top:.1f} GiB"))
    return "".join(charts)


def _delay(status: Status) -> tuple[str, str]:
    """The middle one, and what nine of ten are not above."""
    if status.delay_p50_seconds is None or status.delay_p90_seconds is None:
        return "none", "nobody speaks"
    return f"{status.delay_p50_seconds:.1f} s", f"9 in 10: {status.delay_p90_seconds:.1f} s"


def _facts(session: SessionStatus) -> str:
    known = _STATES.get(session.state, session.state)
    facts = [known if session.attached or session.state != "receiving" else "connection lost"]
    facts.append(f"{_clock(session.audio_seconds)} of sound")
    if session.state == "receiving":
        facts.append(f"text {session.lag_seconds:.1f} s behind")
    if session.holder:
        facts.append(f"at {session.holder}" + (", which is silent" if session.holder_silent else ""))
    return " · ".join(facts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes else f"{seconds:.1f} s"


def _notes(status: Status, words: bool) -> list[str]:
    notes = []
    if not status.sessions and status.state == "running":
        notes.append("Nobody has spoken yet: open the link and speak.")
    if len(status.sessions) > SHOWN_SESSIONS:
        notes.append(f"And {len(status.sessions) - SHOWN_SESSIONS} more, which came before them.")
    if status.sessions and not words and status.state == "running":
        notes.append("What people say is not shown: outputs are saved with the notebook.")
    if status.earlier:
        kept = "1 recording is" if status.earlier == 1 else f"{status.earlier} recordings are"
        notes.append(f"{kept} still kept from an earlier start.")
    return notes


def _text(session: SessionStatus) -> str:
    if session.final_text is not None:
        return session.final_text.strip()
    return f"{session.committed_text} {session.live_text}".strip()


def _row(session: SessionStatus, words: bool) -> str:
    text = ""
    if words and session.final_text is not None:
        text = escape(_end(session.final_text.strip()))
    elif words:
        live = f' <span style="opacity:.55">{escape(session.live_text)}</span>' if session.live_text else ""
        text = escape(_end(session.committed_text)) + live
    if session.problem:
        text += f' <em style="opacity:.75">{escape(session.problem)}</em>'
    said = f'<div style="overflow-wrap:anywhere">{text}</div>' if text else ""
    return (
        f'<div style="{_ROW}"><div style="opacity:.8;font-size:.9em"><code>{escape(session.session_id[:8])}</code> '
        f"{escape(_facts(session))}</div>{said}</div>"
    )


def _end(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else "… " + text[-_SHOWN_CHARACTERS:]
