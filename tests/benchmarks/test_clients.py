"""What counts as working in ``benchmarks.clients``."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from benchmarks.clients import CLIENTS, SCRIPTS, chosen, heard, kept

LIVEKIT = ("openai", "deepgram", "assemblyai", "soniox", "flux")
SPOKEN = "calling the Garden Library. It closes at half past six. Say its title after the tone."
ANSWER: dict[str, Any] = {"text": SPOKEN, "words": True, "refused": True, "realtime": SPOKEN}


def test_all_that_was_said_must_be_heard() -> None:
    assert heard(SPOKEN)
    assert not heard(SPOKEN.removesuffix(" Say its title after the tone."))


@pytest.mark.parametrize(
    "change", [{}, {"text": "hello"}, {"realtime": ""}, {"words": False}, {"refused": None}, {"realtime": None}]
)
def test_every_promise_counts(change: dict[str, Any]) -> None:
    assert kept(ANSWER | change) is (not change)


def test_what_was_not_looked_at_is_not_kept() -> None:
    del (answer := dict(ANSWER))["refused"]
    assert not kept(answer)


def test_a_name_stands_for_all_that_begin_with_it() -> None:
    assert chosen("node,livekit-flux") == ["livekit-flux", "node"]
    assert chosen("livekit,livekit-flux") == [f"livekit-{name}" for name in LIVEKIT]
    assert chosen(",".join(CLIENTS)) == list(CLIENTS)
    with pytest.raises(ValueError, match=r"^vocode is none of pipecat-openai, "):
        chosen("vocode")


@pytest.mark.parametrize(("client", "table"), [("pipecat", "SERVICES"), ("livekit", "PLUGINS")])
def test_each_service_of_a_script_is_run(client: str, table: str) -> None:
    tree = ast.parse((SCRIPTS / f"{client}_stt.py").read_text(encoding="utf-8"))
    (named,) = [
        node.value for node in tree.body if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == table
    ]
    assert isinstance(named, ast.Dict)
    names = {f"{client}-{ast.literal_eval(key)}" for key in named.keys if key is not None}
    assert names == set(chosen(client))
