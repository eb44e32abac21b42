"""A whole recording through the reference client, to the real server over a scripted engine."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openmic.audio.types import Samples
from openmic.client import StreamFailed, iter_stream, stream_file, stream_file_async
from openmic.client.files import audio_seconds
from openmic.errors import OpenmicError
from openmic.sessions.storage.recording import DiskRecording
from tests.support.client_audio import PCM, SECOND
from tests.support.scripted_engine import ScriptedEngine, ScriptedServer, scripted_server

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-for-tests"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path, token=TOKEN) as running:
        yield running


def test_a_file_gives_live_text_commits_and_the_final(service: ScriptedServer, sample_audio: Path) -> None:
    seen: list[str] = []
    threads: set[str] = set()

    def on_message(message: dict[str, object]) -> None:
        seen.append(str(message["type"]))
        threads.add(threading.current_thread().name)

    path = sample_audio / "quickstart.wav"
    result = stream_file(service.link, path, realtime=False, on_message=on_message, words=True, language="tr")
    assert result.duration == pytest.approx(audio_seconds(path), abs=0.1)
    assert result.text.startswith(" heard")
    assert (result.language, result.model) == ("tr", "scripted")
    assert result.live_text.startswith("one two three")
    assert len(result.segments[0]["words"]) == 1
    assert json.loads(result.json()) == result.message
    assert service.sessions.get(result.session_id).id == result.session_id
    assert {"ready", "commit", "final", "done"} <= set(seen)
    assert "ack" not in seen
    assert threads == {threading.main_thread().name}


def test_the_way_to_the_final_is_told_and_what_it_changed(tmp_path: Path) -> None:
    engine = ScriptedEngine(corrections={" two": " too"})
    engine.may_finish.clear()
    engine.progress = 0.25
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND * 4)
    seen: list[dict[str, object]] = []

    def on_message(message: dict[str, object]) -> None:
        seen.append(message)
        if message["type"] == "progress":
            engine.progress = 0.5
            engine.may_finish.set()

    with scripted_server(tmp_path, engine=engine, token=TOKEN) as service:
        result = stream_file(service.link, raw, realtime=False, on_message=on_message, **PCM)  # type: ignore[arg-type]
    progress = next(message for message in seen if message["type"] == "progress")
    assert progress == {"type": "progress", "stage": "finishing", "done_seconds": 1.0, "total_seconds": 4.0}
    (revision,) = result.revised
    assert (revision.kind, revision.old, revision.new) == ("words", "two", "too")
    assert result.live_text[revision.old_start : revision.old_end] == "two"
    assert result.text[revision.new_start : revision.new_end] == "too"
    assert (revision.start, revision.end) == (1.0, 2.0)
    commits = [message for message in seen if message["type"] == "commit"]
    assert "language" not in commits[0]
    assert commits[-1]["language"] == "en"


def test_the_plain_form_works_where_a_loop_runs_already(service: ScriptedServer, tmp_path: Path) -> None:
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND * 2)

    async def cell() -> str:
        return stream_file(service.link, raw, realtime=False, **PCM).text  # type: ignore[arg-type]

    assert asyncio.run(cell()) == " heard 2.0 seconds"


@pytest.mark.slow
def test_the_async_form(service: ScriptedServer, tmp_path: Path) -> None:
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND * 2)
    result = asyncio.run(stream_file_async(service.link, raw, realtime=True, **PCM))  # type: ignore[arg-type]
    assert result.live_text == "one two"


def test_large_pieces_are_cut_to_what_the_service_takes(tmp_path: Path) -> None:
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND * 2)
    with scripted_server(tmp_path, token=TOKEN, max_message_bytes=2048) as service:
        result = stream_file(service.link, raw, realtime=False, **PCM)  # type: ignore[arg-type]
    assert result.duration == 2.0


def test_finish_ends_the_audio_early(service: ScriptedServer, sample_audio: Path) -> None:
    finish = threading.Event()
    final: dict[str, object] = {}
    for message in iter_stream(service.link, sample_audio / "quickstart.wav", finish=finish):
        if message["type"] == "live":
            finish.set()
        if message["type"] == "final":
            final = message
    assert 0 < final["duration"] < 5  # type: ignore[operator]


def test_breaking_out_of_the_messages_ends_everything(service: ScriptedServer, sample_audio: Path) -> None:
    for message in iter_stream(service.link, sample_audio / "quickstart.wav"):
        if message["type"] == "live":
            break
    del message
    deadline = threading.Event()
    while any(thread.name == "openmic-client" for thread in threading.enumerate()):
        assert not deadline.wait(0.05)


def test_an_unknown_language_is_told(service: ScriptedServer, sample_audio: Path) -> None:
    with pytest.raises(OpenmicError) as caught:
        stream_file(service.link, sample_audio / "quickstart.wav", realtime=False, language="xx")
    assert caught.value.code == "unknown_language"


def test_a_file_that_is_not_audio_is_told_by_the_service_when_sent_unpaced(
    service: ScriptedServer, tmp_path: Path
) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear microphone, " * 500)
    with pytest.raises(OpenmicError) as caught:
        stream_file(service.link, path, realtime=False)
    assert caught.value.code == "audio_not_decodable"
    assert isinstance(caught.value, StreamFailed)
    assert caught.value.result is None


def test_an_error_after_the_final_carries_it(
    service: ScriptedServer, sample_audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = DiskRecording.append

    def refuse_after_three_seconds(recording: DiskRecording, samples: Samples) -> None:
        if recording.seconds > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(recording, samples)

    monkeypatch.setattr(DiskRecording, "append", refuse_after_three_seconds)
    with pytest.raises(StreamFailed) as caught:
        stream_file(service.link, sample_audio / "quickstart.wav", realtime=False)
    failed = caught.value
    assert (failed.code, failed.what) == ("disk_full", "The server could not write this session to its disk.")
    assert failed.result is not None
    assert 3 < failed.result.duration < 15
    assert failed.result.text.startswith(" heard")
    assert failed.live_text.startswith("one two three")
    assert failed.session_id == failed.result.session_id


def test_a_missing_file_is_told_before_anything_is_sent(service: ScriptedServer, tmp_path: Path) -> None:
    with pytest.raises(OpenmicError) as caught:
        stream_file(service.link, tmp_path / "none.wav")
    assert caught.value.code == "no_file"
    assert service.sessions.known.opened_total == 0


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


IN_A_NOTEBOOK = """
import asyncio, sys
import nest_asyncio
nest_asyncio.apply()
from openmic.client import stream_file, stream_file_async
async def cell():
    plain = stream_file(sys.argv[1], sys.argv[2], realtime=False, encoding="pcm_s16le", sample_rate=16000)
    inner = asyncio.run(
        stream_file_async(sys.argv[1], sys.argv[2], realtime=False, encoding="pcm_s16le", sample_rate=16000)
    )
    print(plain.text == inner.text, plain.text)
asyncio.run(cell())
"""


def test_both_forms_work_where_nest_asyncio_has_changed_asyncio(service: ScriptedServer, tmp_path: Path) -> None:
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND * 2)
    done = run_python(IN_A_NOTEBOOK, service.link, str(raw))
    assert done.stdout == "True  heard 2.0 seconds\n", done.stderr


LEFT_OPEN = """
import sys
from openmic.client import iter_stream
messages = iter_stream(sys.argv[1], sys.argv[2], encoding="pcm_s16le", sample_rate=16000)
print(next(messages)["type"])
"""


def test_a_stream_that_is_left_open_ends_with_the_program(service: ScriptedServer, tmp_path: Path) -> None:
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND * 20)
    done = run_python(LEFT_OPEN, service.link, str(raw))
    assert (done.stdout, done.stderr, done.returncode) == ("ready\n", "", 0)
