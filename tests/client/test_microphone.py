"""The microphone, stood in for."""

from __future__ import annotations

import asyncio
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from openmic.client import iter_stream
from openmic.client.microphone import microphone_pieces
from openmic.errors import OpenmicError
from tests.support.client_audio import SECOND
from tests.support.scripted_engine import ScriptedServer, scripted_server

TOKEN = "a-token-for-tests"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path, token=TOKEN) as running:
        yield running


class StandInStream:
    """Stands for sounddevice's stream: this machine has no microphone."""

    def __init__(self, **options: object) -> None:
        self._callback = options["callback"]
        assert options["samplerate"] == 16_000
        self._end = threading.Event()

    def __enter__(self) -> StandInStream:
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(120)

    def _speak(self) -> None:
        while not self._end.wait(0.01):
            self._callback(SECOND[:3200], 1600, None, None)  # type: ignore[operator]


def stand_in_sounddevice(stream: type) -> types.ModuleType:
    module = types.ModuleType("sounddevice")
    module.RawInputStream = stream  # type: ignore[attr-defined]
    module.PortAudioError = type("PortAudioError", (Exception,), {})  # type: ignore[attr-defined]
    return module


def test_the_microphone_streams_until_told_to_finish(service: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in_sounddevice(StandInStream))
    finish = threading.Event()
    kinds = []
    for message in iter_stream(service.link, "mic", finish=finish):
        kinds.append(message["type"])
        if message["type"] == "commit":
            finish.set()
    assert kinds[-2:] == ["final", "done"]


def test_no_library_and_no_microphone_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def first() -> bytes:
        return await anext(aiter(microphone_pieces(threading.Event())))

    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(OpenmicError) as caught:
        asyncio.run(first())
    assert caught.value.code == "no_microphone_library"

    module = stand_in_sounddevice(StandInStream)

    def refuse(**_: object) -> object:
        raise module.PortAudioError("Error querying device -1")

    module.RawInputStream = refuse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    with pytest.raises(OpenmicError) as caught:
        asyncio.run(first())
    assert caught.value.code == "no_microphone"
