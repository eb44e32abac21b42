"""A recording sent to the service as an external client or a browser would, its text shown in the cell meanwhile."""

from __future__ import annotations

import contextlib
import sys
from html import escape
from pathlib import Path
from typing import Any

from openmic.client import Result, stream_file
from openmic.client.caption import Caption
from openmic.client.live_lines import LiveLines
from openmic.client.result import Message
from openmic.client.sample import recorder_slices, sample_path
from openmic.notebook.card import QUIET, STYLE
from openmic.notebook.output import Area, in_notebook


class LiveView:
    """Draws a stream's messages into the running cell: promised words plain, the unstable tail pale."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._area = Area()
        self._caption = Caption()
        self._note = "Connecting."

    def __call__(self, message: Message) -> None:
        """Show what ``message`` changes."""
        self._caption.update(message)
        match message["type"]:
            case "ready":
                self._note = f"Connected to Whisper {message['model']} on {message['device']}."
            case "live":
                self._note = f"{message['audio_seconds']:.1f} s heard, {message['lag']:.1f} s behind."
            case "connection":
                self._note = (
                    "Connected again." if message["state"] == "resumed" else f"{message['detail']} Trying again."
                )
            case "warning" | "error":
                self._note = f"{message['message']} {message.get('hint') or ''}"
            case "final":
                self._note = f"Final text of {message['duration']:.1f} s of audio, language {message['language']}."
            case "done":
                return
        self._area.show(self.html(), f"{self._caption.text}\n{self._note}")

    def html(self) -> str:
        """What is shown now."""
        live = f'<span style="opacity:.55">{escape(self._caption.live)}</span>'
        return (
            f'<div style="{STYLE}"><strong>{escape(self._title)}</strong>'
            f'<p style="margin:.4em 0;min-height:3em">{escape(self._caption.committed)}{live}</p>'
            f'<p style="{QUIET}">{escape(self._note)}</p></div>'
        )


def stream_sample(link: str, path: str | Path | None = None, **options: Any) -> Result:
    """Stream a recording to ``link`` over a real WebSocket, at the speed of speech, and watch the text arrive.

    Args:
        link: the service's link, or an object that has one as ``link``.
        path: the recording, sent as it is; None: the project's own ``quickstart``, sent as a browser records it.
        options: see ``openmic.client.stream_file``.

    Raises:
        OpenmicError: any of the client's problems, or the service's.
    """
    recording = sample_path() if path is None else Path(path)
    source = recorder_slices(recording, realtime=options.get("realtime", True)) if path is None else recording
    link = getattr(link, "link", link)
    if in_notebook():
        return stream_file(link, source, on_message=LiveView(recording.name), **options)
    with contextlib.closing(LiveLines(sys.stdout)) as lines:
        return stream_file(link, source, on_message=lines, **options)
