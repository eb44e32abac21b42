"""The card in the front ends: as an anywidget, and in Colab as plain HTML with a comm of its own."""

from __future__ import annotations

import json
import secrets
from typing import Any

from openmic.notebook.microphone.javascript import joined, read
from openmic.notebook.microphone.posts import Buffers, Post
from openmic.notebook.output import kernel

TEXT = "The microphone is shown where notebooks show widgets, in a browser."


def make_widget(answer: Any) -> Any:
    """The card as an anywidget whose posts go to ``answer(post, buffers)``."""
    import anywidget

    code = joined("widget.js") + 'export default modules["widget.js"].default;\n'
    made: Any = type("MicrophoneWidget", (anywidget.AnyWidget,), {"_esm": code, "_css": read("card.css")})()

    def on_post(widget: Any, post: Post, buffers: Buffers) -> None:
        back = answer(post, buffers)
        if back is not None:
            widget.send(back)

    made.on_msg(on_post)
    return made


def comm_html(answer: Any) -> str:
    """The card as HTML for Colab; opens a comm to ``answer`` when it is shown."""
    target = f"openmic.microphone.{secrets.token_hex(8)}"

    def opened(comm: Any, _: Any) -> None:
        def on_post(message: Any) -> None:
            back = answer(message["content"]["data"], message["buffers"])
            if back is not None:
                comm.send(back)

        comm.on_msg(on_post)

    running = kernel()
    assert running is not None, "Colab's kernel runs this"
    running.comm_manager.register_target(target, opened)
    return html(f'modules["colab.js"].overComm(root, {json.dumps(target)});')


def html(start: str) -> str:
    """The card as HTML; ``start``: the statement that puts it into the element ``root``."""
    ident = f"openmic-{secrets.token_hex(8)}"
    return (
        f'<style>{read("card.css")}</style><div id="{ident}"></div><script>(() => {{\n{joined("colab.js")}'
        f'const root = document.getElementById("{ident}");\n{start}\n}})();</script>'
    )
