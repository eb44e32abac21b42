"""The names and shapes of Colab that the microphone leans on, as Colab's own files had them when they were read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from openmic.notebook.microphone.javascript import read
from tests.support import colab_page

ROOT = Path(__file__).resolve().parents[3]
LISTENING = ROOT / "openmic/notebook/microphone/listening.py"
STAND_IN = ROOT / "tests/support/colab_stand_in/google/colab/output.py"

# googlecolab/colabtools, by file: the commit that was read, and the names in it.
READ = {
    "google/colab/files.py": (
        "0969d3a0379b0f20f4ad42e92120a8b599f1b555",
        {"google.colab.kernel.comms.open", "google.colab.kernel.accessAllowed", "channel.messages", "message.buffers"},
    ),
    "google/colab/output/_js.py": (
        "0b0583be140a12b56feafe4f053b6b5a64182dc9",
        {"eval_js", "ignore_result", "cell_javascript_eval", "script"},
    ),
    "google/colab/_message.py": (
        "54d1f5e6a39aa0cd9da340de7a2dbd00512c4e0d",
        {"colab_request", "colab_msg_id", "colab_request_type", "request", "colab_reply", "data", "type", "value"},
    ),
}
NAMES = set[str]().union(*(names for _, names in READ.values()))


def test_the_card_and_the_stand_in_use_what_was_read_alone() -> None:
    card = set(re.findall(r"google\.colab\.[\w.]+", read("colab.js")))
    assert card == {"google.colab.kernel.comms.open"}
    assert card <= NAMES
    assert "comm.messages" in read("colab.js")
    assert "get messages()" in colab_page.FRONT_END


def test_a_cell_asks_with_a_script_and_nothing_else() -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(LISTENING.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "eval_js"
    ]
    assert [(len(call.args), call.keywords) for call in calls] == [(1, [])]


def test_the_stand_in_s_messages_have_colab_s_fields() -> None:
    source = STAND_IN.read_text(encoding="utf-8")
    words = {word for word in re.findall(r'"(\w+)"', source) if word != "shell"} - {"content"}
    assert words == {
        *("colab_request", "request", "script", "colab_msg_id", "colab_request_type", "cell_javascript_eval"),
        *("value", "data"),
    }
    assert words <= NAMES
