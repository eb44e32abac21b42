"""The dashboard's picture: a status as HTML, and as text for front ends without it."""

from __future__ import annotations

from html import escape

from openmic.notebook.card import LINK, QUIET, STYLE
from openmic.notebook.status import SessionStatus, Status

_ROW = "border-top:1px solid rgba(128,128,128,.3);margin-top:.6em"
NOTED_SLOWNESS = 1.5  # a step that takes so many times as long as measured is no chance
_SHOWN_CHARACTERS = 400  # of each session's text: its end
_SHOWN_SESSIONS = 50  # the newest


def status_html(status: Status, *, words: bool = True) -> str:
    """The whole picture; every word of others is escaped. ``words``: what people said, or only how much it is."""
    link = escape(status.link, quote=True)
    anchor = f'<a href="{link}" target="_blank" rel="noopener noreferrer" style="{LINK}">{link}</a>' if link else ""
    sessions = "".join(_row(session, words=words) for session in status.sessions[:_SHOWN_SESSIONS])
    hint = "No session yet: open the link and speak." if link else "No session is open."
    nobody = f'<p style="{QUIET}">{hint}</p>'
    return (
        f'<div style="{STYLE};max-width:none"><strong>openmic: {escape(status.state)}</strong> '
        f"{anchor}"
        f'<p style="margin:.4em 0">{escape(_load(status))}</p>'
        f"{sessions or nobody}</div>"
    )


def status_text(status: Status, *, words: bool = True) -> str:
    """The same for a front end that shows text alone."""
    lines = [f"openmic: {status.state} {status.link}", _load(status)]
    for session in status.sessions[:_SHOWN_SESSIONS]:
        said = _end(_text(session)) if words else _amount(session)
        lines.append(f"{session.session_id[:8]}  {_state(session)}  {session.audio_seconds:.1f} s  {said}")
    return "\n".join(lines)


def _load(status: Status) -> str:
    parts = [f"Whisper {status.model} on {status.device}"]
    if status.speakers:
        parts.append(status.speakers)
    parts.append(f"load {status.busy:.0%}")
    if status.step_seconds:
        parts.append(f"last step {status.step_seconds * 1000:.0f} ms")
    parts.append(f"longest wait {status.lag_seconds:.1f} s")
    parts.extend(f"{problem}: see the log" for problem in status.problems)
    if status.slowness >= NOTED_SLOWNESS:
        parts.append(f"steps take {status.slowness:.1f} times as long as measured")
    if status.late:
        parts.append("live text is late: nobody more is let in until it has caught up")
    elif status.finals_held:
        parts.append("overloaded: finals wait for live text, and nobody more is let in")
    if status.finals_waiting:
        parts.append(f"finals in work {status.finals_waiting} (about {status.finals_seconds:.0f} s)")
    if status.memory_bytes is not None:
        parts.append(f"memory {status.memory_bytes / 2**30:.1f} GiB")
    parts.append(status.tunnel or "no public link")
    return " · ".join(parts)


def _state(session: SessionStatus) -> str:
    return session.state if session.attached or session.state != "receiving" else "connection lost"


def _text(session: SessionStatus) -> str:
    if session.final_text is not None:
        return session.final_text.strip()
    return f"{session.committed_text} {session.live_text}".strip()


def _amount(session: SessionStatus) -> str:
    return f"{len(_text(session).split())} words"


def _row(session: SessionStatus, *, words: bool) -> str:
    if not words:
        text = _amount(session)
    elif session.final_text is not None:
        text = escape(_end(session.final_text.strip()))
    else:
        live = f' <span style="opacity:.55">{escape(session.live_text)}</span>' if session.live_text else ""
        text = escape(_end(session.committed_text)) + live
    if session.problem:
        text += f' <em style="opacity:.75">{escape(session.problem)}</em>'
    facts = [_state(session), f"{session.audio_seconds:.1f} s of audio"]
    if session.state == "receiving":
        facts.append(f"{session.lag_seconds:.1f} s behind")
    return (
        f'<div style="{_ROW}"><div style="{QUIET}"><code>{escape(session.session_id[:8])}</code> '
        f'{escape(" · ".join(facts))}</div><div style="overflow-wrap:anywhere">{text}</div></div>'
    )


def _end(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else "… " + text[-_SHOWN_CHARACTERS:]
