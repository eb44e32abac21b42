"""A cell that listens in Colab: it asks the page for sound, and brings it the text, for as long as it runs.

Colab's kernel answers no comm message while a cell runs; what a running cell asks for itself comes at once.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from openmic.client.result import Result
from openmic.notebook.microphone.display import html
from openmic.notebook.microphone.microphone import Microphone
from openmic.notebook.microphone.problems import PROBLEMS


def listen(microphone: Microphone, seconds: float | None = None) -> Result:
    """Show the card in the running cell, record at once, and wait for the final text.

    Args:
        microphone: whose service transcribes.
        seconds: the longest recording; None: until Stop is pressed. Interrupting the cell ends it too; the final text
            is still waited for, until a second interrupt.

    Raises:
        OpenmicError: ``listen_elsewhere``, ``microphone_refused``, or what the service said.
    """
    try:
        import IPython.display
        from google.colab import output
    except ImportError as missing:
        raise PROBLEMS.error("listen_elsewhere") from missing
    name = f"openmic_{secrets.token_hex(8)}"
    started = f'modules["colab.js"].pulled(root, {json.dumps(name)}, {json.dumps(seconds)});'
    show: Any = IPython.display.display
    show({"text/html": html(started), "text/plain": "Listening."}, raw=True)
    before = microphone.recordings
    answers: list[Any] = []
    ending = False
    while True:
        try:
            exchange = f"window[{json.dumps(name)}].exchange({json.dumps(answers)}, {json.dumps(ending)})"
            told = output.eval_js(exchange)
        except KeyboardInterrupt:  # what was on its way is lost, and the page resumes its session
            if ending:
                raise
            answers, ending = [], True
            continue
        answers = [answer for post in told["posts"] if (answer := microphone.answer(post)) is not None]
        if told["over"] is not None:
            break
    if microphone.recordings == before:
        raise PROBLEMS.error("microphone_refused", detail=told["over"]["problem"] or "Nothing was recorded.")
    return microphone.result
