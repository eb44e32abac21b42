"""Prints docs/troubleshooting.md: every problem that a person can meet, from the rooms' own tables.

``python docs/make_troubleshooting.py > docs/troubleshooting.md``
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

if __name__ == "__main__":  # run as a script, Python looks beside it for modules, not in the project
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from openmic.audio.problems import PROBLEMS as AUDIO
from openmic.client.problems import PROBLEMS as CLIENT
from openmic.cluster.problems import PROBLEMS as CLUSTER
from openmic.errors import ProblemTable
from openmic.notebook.microphone.problems import PROBLEMS as MICROPHONE
from openmic.server.problems import PROBLEMS as SERVER
from openmic.server.statuses import SENT
from openmic.service.problems import PROBLEMS as LAUNCH
from openmic.sessions.problems import PROBLEMS as SESSIONS
from openmic.speech.problems import DEVICE_PROBLEMS as DEVICES
from openmic.speech.problems import PROBLEMS as SPEECH
from openmic.speech.weights.problems import WEIGHT_PROBLEMS as WEIGHTS
from openmic.tunnels.problems import PROBLEMS as TUNNELS
from openmic_setup.problems import PROBLEMS as SETUP
from openmic_setup.problems import WARNINGS

HEAD = """# Troubleshooting

Every error of openmic says what happened, why, and what to do. This page lists them by the place where they appear.
Words in &lt;brackets&gt; are filled in. The code is for programs: the `code` of an `error` or `warning` message and of
`openmic.OpenmicError`. A number beside it is the code with which the WebSocket closes.

`python colab_bootstrap.py check` shows what this machine has and lacks, and changes nothing.

This page is written by `python docs/make_troubleshooting.py`.
"""

SETUP_NOTE = """\
Errors of `python colab_bootstrap.py` and of the notebook's set-up cell; the output of pip and other programs stands
above them. The code is that of an `openmic_setup.problems.SetupError`."""

WARNINGS_NOTE = "Warnings of the set-up, one line each; the set-up continues."

COLUMNS = "code | what happened | why | what to do"

TABLES: tuple[tuple[str, ProblemTable], ...] = (
    ("Launching", LAUNCH),
    ("Model and weights", WEIGHTS),
    ("Devices", DEVICES),
    ("The public link", TUNNELS),
    ("Talking to the service", SERVER),
    ("Sessions", SESSIONS),
    ("The notebook's microphone", MICROPHONE),
    ("Audio", AUDIO),
    ("Speech", SPEECH),
    ("A cluster", CLUSTER),
    ("The client (`openmic stream`, Python)", CLIENT),
)


def page() -> str:
    """The whole page."""
    lines = [HEAD, "## Setting up", "", SETUP_NOTE, ""]
    lines += _table(COLUMNS, ((f"`{code}`", *parts) for code, parts in SETUP.items()))
    lines += ["", WARNINGS_NOTE, ""]
    lines += _table(COLUMNS, ((f"`{code}`", *parts) for code, parts in WARNINGS.items()))
    for title, table in TABLES:
        rows = ((_code(code), problem.what, problem.why, problem.hint) for code, problem in table.items())
        lines += ["", f"## {title}", "", *_table(COLUMNS, rows)]
    return "\n".join(lines) + "\n"


def _code(code: str) -> str:
    return f"`{code}`" + (f" ({SENT[code].close_code})" if code in SENT and SENT[code].close_code != 4400 else "")


def _table(head: str, rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [f"| {head} |", "|" + " --- |" * (head.count("|") + 1)]
    return lines + ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]


def _cell(template: str) -> str:
    """A ``str.format`` template as a cell: ``{detail:.0f}`` becomes a bracketed word."""
    text = template.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"(?<!\{)\{(\w+)(?:![rs])?(?::[^}]*)?\}(?!\})", r"&lt;\1&gt;", text)
    return text.replace("{{", "{").replace("}}", "}")


if __name__ == "__main__":
    print(page(), end="")
