"""The card: the link, its QR code, and how long it is good for."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TextIO

from openmic.terminal import qr_code
from openmic.tunnels.terms import COLAB, NGROK_FREE_PLAN

STYLE = (
    "border:1px solid rgba(128,128,128,.45);border-radius:10px;padding:14px 18px;max-width:760px;"
    "font-family:system-ui,sans-serif;line-height:1.45;color:inherit"
)
LINK = "color:inherit;text-decoration:underline;overflow-wrap:anywhere"
QUIET = "opacity:.75;font-size:.9em;margin:.5em 0 0"


@dataclass(frozen=True, slots=True)
class Card:
    """What a person needs to reach the service; displays itself in a notebook, ``str()`` for a terminal without QR.

    Attributes:
        link: with the token in its fragment.
        model, device: what answers there.
        good_for: how long the link works, as a sentence.
        public_hint: how to get a public link, where this one is local; else "".
        tunnel: who carries it ("ngrok"); "" for none.
        colab: whether this is a Colab runtime, whose terms are said then.
        speakers: how many it carries ("about 4 speakers at once"); "" where that is not known.
    """

    link: str = field(repr=False)
    model: str
    device: str
    good_for: str
    public_hint: str = ""
    tunnel: str = ""
    colab: bool = False
    speakers: str = ""

    @property
    def _notes(self) -> list[str]:
        notes = [self.good_for]
        if self.public_hint:
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
        way = "Open the link on this machine" if self.public_hint else "Open the link or scan the code"
        return f"{way}, press the button, speak. Whoever has the link can use the service."

    def _repr_html_(self) -> str:
        import segno

        link = escape(self.link, quote=True)
        svg = segno.make(self.link, error="l", micro=False).svg_inline(scale=4, border=2, title="QR code of the link")
        notes = "".join(f'<p style="{QUIET}">{escape(note)}</p>' for note in self._notes)
        return (
            f'<div style="{STYLE}"><div style="display:flex;gap:18px;flex-wrap:wrap;align-items:flex-start">'
            f'<div style="background:#fff;line-height:0;border-radius:6px;flex:none">{svg}</div>'
            f'<div style="flex:1 1 300px;min-width:0"><strong>openmic is live</strong>'
            f'<p style="margin:.4em 0"><a href="{link}" target="_blank" rel="noopener noreferrer" '
            f'style="{LINK}">{link}</a></p>'
            f'<p style="margin:.4em 0">{escape(self._what)} {self._invitation}</p>'
            f"{notes}</div></div></div>"
        )

    def __str__(self) -> str:
        lines = ["openmic is live", f"  {self.link}", f"  {self._what} {self._invitation}"]
        return "\n".join(lines + [f"  {note}" for note in self._notes])

    def print(self, out: TextIO) -> None:
        """The card in a terminal, the QR code above it."""
        out.write(f"{qr_code(self.link, out)}{self}\n")
        out.flush()
