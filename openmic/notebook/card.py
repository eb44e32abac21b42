"""The card: the link, its QR code, how programs reach the service, and how long the link is good for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html import escape
from typing import TextIO
from urllib.parse import urlsplit

from openmic.notebook.output import Area
from openmic.terminal import qr_code
from openmic.tunnels.terms import COLAB, NGROK_FREE_PLAN, NGROK_WARNING_PAGE

STYLE = (
    "border:1px solid rgba(128,128,128,.45);border-radius:10px;padding:14px 18px;max-width:760px;"
    "font-family:system-ui,sans-serif;line-height:1.45;color:inherit"
)
LINK = "color:inherit;text-decoration:underline;overflow-wrap:anywhere"
QUIET = "opacity:.75;font-size:.9em;margin:.5em 0 0"
CODE = (
    "display:block;margin:.3em 0;padding:.35em .6em;border-radius:6px;background:rgba(128,128,128,.15);"
    "font-family:ui-monospace,monospace;font-size:.85em;overflow-wrap:anywhere;user-select:all;color:inherit"
)  # one click selects all of it: a button that copies would need a script, which most front ends forbid

ENDED = "openmic has ended"
ENDED_WHY = "Its link no longer works. Run this cell again for a new one."
COLAB_WAYS = (
    "Speak here: the next cell takes your voice in this notebook.",
    "For a link that others can open: copy your free authtoken from dashboard.ngrok.com/get-started/your-authtoken, "
    "press the key icon on the left, add it as the secret NGROK_AUTHTOKEN, switch on Notebook access, and run this "
    "cell again.",
    "With the Colab command line, on a runtime that it made: colab ssh with -L {port}:127.0.0.1:{port}, then open the "
    "link that print(mic.link) shows.",
)


@dataclass(frozen=True, slots=True)
class Card:
    """What a person needs to reach the service; displays itself in a notebook, ``str()`` for a terminal without QR.

    Attributes:
        link: with the token in its fragment.
        model, device: what answers there.
        good_for: how long the link works, as a sentence.
        public_hint: how to get a public link, where this one is local; else "".
        tunnel: its provider ("ngrok"); "" for none.
        colab: whether this is a Colab runtime: its terms are said then, and a local link is of no use to a person.
        speakers: how many it carries ("about 4 speakers at once"); "" where that is not known.
        ended: whether the service has ended; then nothing else is shown.
        on_shown: told when it is displayed in a notebook.
    """

    link: str = field(repr=False)
    model: str
    device: str
    good_for: str
    public_hint: str = ""
    tunnel: str = ""
    colab: bool = False
    speakers: str = ""
    ended: bool = False
    on_shown: Callable[[Card], None] = field(default=lambda card: None, repr=False, compare=False)
    area: Area = field(default_factory=Area, repr=False, compare=False)

    @property
    def _out_of_reach(self) -> bool:
        """Whether nobody can open the link: "this machine" is Google's."""
        return self.colab and bool(self.public_hint)

    @property
    def _notes(self) -> list[str]:
        notes = [] if self._out_of_reach else [self.good_for]
        if self.public_hint and not self._out_of_reach:
            notes.append(self.public_hint)
        if self.tunnel == "ngrok":
            notes.append(NGROK_FREE_PLAN)
        if self.colab:
            notes.append(COLAB)
        return notes

    @property
    def _what(self) -> str:
        carries = f": {self.speakers}" if self.speakers else ""
        return f"Whisper {self.model} on {self.device}{carries}."

    @property
    def _invitation(self) -> str:
        if self.public_hint:
            return "Open the link on this machine, press the button, speak. Anyone with the link can use the service."
        first = f" {NGROK_WARNING_PAGE}" if self.tunnel == "ngrok" else ""
        return (
            f"Open the link or scan the code, press the button, speak.{first} Anyone with the link can use the service."
        )

    @property
    def _ways(self) -> tuple[str, ...]:
        port = urlsplit(self.link).port
        return tuple(way.format(port=port) for way in COLAB_WAYS)

    @property
    def for_programs(self) -> dict[str, str]:
        """What each line is, and the line: the WebSocket's address, the command line, ``curl``."""
        parts = urlsplit(self.link)
        origin, token = f"{parts.scheme}://{parts.netloc}", parts.fragment.removeprefix("token=")
        return {
            "WebSocket": f"{origin.replace('http', 'ws', 1)}/v1/stream",
            "Command line": f"python -m openmic stream '{self.link}' recording.wav",
            "curl": f"curl -H 'Authorization: Bearer {token}' -F file=@recording.wav {origin}/v1/audio/transcriptions",
        }

    def _ipython_display_(self) -> None:
        self.area.place(self._repr_html_(), str(self))
        self.on_shown(self)

    def end(self) -> None:
        """Where it is shown, say from now on that the service has ended; the token is gone from there."""
        ended = replace(self, ended=True)
        self.area.update(ended._repr_html_(), str(ended))

    def _repr_html_(self) -> str:
        if self.ended:
            return f'<div style="{STYLE}"><strong>{ENDED}</strong><p style="{QUIET}">{ENDED_WHY}</p></div>'
        code = self._code()
        notes = "".join(f'<p style="{QUIET}">{escape(note)}</p>' for note in self._notes)
        return (
            f'<div style="{STYLE}"><div style="display:flex;gap:18px;flex-wrap:wrap;align-items:flex-start">{code}'
            f'<div style="flex:1 1 300px;min-width:0">{self._reach()}{notes}{self._programs()}</div></div></div>'
        )

    def _code(self) -> str:
        """The QR code; "" where another machine could not open what it says."""
        if self.public_hint:
            return ""
        import segno

        # A border of four modules, as the standard wants it: dark mode's background begins behind it.
        svg = segno.make(self.link, error="l", micro=False).svg_inline(scale=4, border=4, title="QR code of the link")
        return f'<div style="background:#fff;line-height:0;border-radius:6px;flex:none">{svg}</div>'

    def _reach(self) -> str:
        """How a person gets there."""
        if self._out_of_reach:
            ways = "".join(f'<li style="margin:.3em 0">{escape(way)}</li>' for way in self._ways)
            return (
                f"<strong>openmic is on. Nobody outside can reach this runtime yet.</strong>"
                f'<p style="margin:.4em 0">{escape(self._what)}</p>'
                f'<ol style="margin:.4em 0;padding-left:1.4em">{ways}</ol>'
            )
        link = escape(self.link, quote=True)
        return (
            f'<strong>openmic is live</strong><p style="margin:.4em 0"><a href="{link}" target="_blank" '
            f'rel="noopener noreferrer" style="{LINK}">{link}</a></p>'
            f'<p style="margin:.4em 0">{escape(self._what)} {escape(self._invitation)}</p>'
        )

    def _programs(self) -> str:
        if self._out_of_reach:
            return ""
        lines = "".join(
            f'<div style="{QUIET}">{name}</div><code style="{CODE}">{escape(line)}</code>'
            for name, line in self.for_programs.items()
        )
        return (
            f'<details style="margin-top:.6em"><summary style="cursor:pointer">For programs</summary>{lines}</details>'
        )

    def __str__(self) -> str:
        if self.ended:
            return f"{ENDED}. {ENDED_WHY}"
        if self._out_of_reach:
            lines = ["openmic is on. Nobody outside can reach this runtime yet.", f"  {self._what}"]
            lines += [f"  {number}. {way}" for number, way in enumerate(self._ways, 1)]
        else:
            lines = ["openmic is live", f"  {self.link}", f"  {self._what} {self._invitation}"]
        return "\n".join(lines + [f"  {note}" for note in self._notes])

    def print(self, out: TextIO) -> None:
        """The card in a terminal, the QR code above it where another machine can open the link."""
        out.write(f"{'' if self.public_hint else qr_code(self.link, out)}{self}\n")
        out.flush()
