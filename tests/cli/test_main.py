"""The command line in processes of its own, against the real server over a scripted engine."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from openmic.audio.types import SAMPLE_RATE
from openmic.cli.main import main
from openmic.server.app import create_app
from openmic.server.thread import ServerThread
from openmic.sessions.registry import Sessions
from openmic.sessions.storage.recording import DiskRecording
from openmic.settings import Settings
from openmic.speech.types import SpeechOptions, Term
from tests.support.scripted_engine import ScriptedEngine, scripted_server

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = """
import sys
sys.path.insert(0, {tests!r})
import openmic.service.service as launching
from tests.support.scripted_engine import ScriptedEngine
def load(settings, progress):
    engine = ScriptedEngine()
    if {endless}:
        engine.may_finish.clear()
    return engine
launching.load_engine = load
if {decodes_no_container}:
    import openmic.audio.decoder_processes as apart
    broken = "import openmic.audio.decoder; openmic.audio.decoder.open_input = None; main()"  # a TypeError when called
    apart.START = apart.START.replace("main()", broken)
from openmic.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def link(tmp_path: Path) -> Iterator[str]:
    settings = Settings(data_dir=tmp_path / "recordings", stop_seconds=5)
    engine = ScriptedEngine()
    sessions = Sessions(settings, engine)
    server = ServerThread(create_app(settings, sessions, "a-token"), "127.0.0.1", 0)
    server.start()
    yield f"{server.url}/#token=a-token"
    server.stop()
    engine.close()


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "openmic", *map(str, arguments)]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)


@contextmanager
def scripted(
    *arguments: str, endless: bool = False, decodes_no_container: bool = False, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """The command over a scripted engine.

    ``endless``: one that never brings a final; ``decodes_no_container``: in the service, as when a release of PyAV has
    changed.
    """
    code = SCRIPTED.format(tests=str(ROOT), endless=endless, decodes_no_container=decodes_no_container)
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "OPENMIC_DATA_DIR": folder, "OPENMIC_TUNNEL": "none", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**env, **environment},
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def read_until(process: subprocess.Popen[str], part: str) -> str:
    assert process.stdout is not None
    seen = ""
    while part not in seen:
        line = process.stdout.readline()
        assert line, f"it ended after {seen!r}"
        seen += line
    return seen


def test_stream_prints_live_lines_and_the_final_json(link: str, sample_audio: Path) -> None:
    done = run("stream", link, sample_audio / "quickstart.wav", "--fast", "--words", "--language", "en")
    assert done.returncode == 0, done.stderr
    final = json.loads(done.stdout)
    assert final["type"] == "final"
    assert final["segments"][0]["words"]
    kinds = [line.split()[2] for line in done.stderr.splitlines()]
    assert "commit" in kinds
    assert set(kinds) <= {"live", "commit", "final", "revised"}
    assert "one-two-three -> heard" not in done.stderr
    assert kinds.count("revised") == 1  # the script's final has nothing in common with its commits


def test_stream_as_lines_of_json(link: str, sample_audio: Path) -> None:
    done = run("stream", link, sample_audio / "quickstart.wav", "--fast", "--json")
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert messages[0]["type"] == "ready"
    assert [message["type"] for message in messages[-2:]] == ["final", "done"]
    assert done.stderr == ""


def test_stream_gives_names_and_terms(sample_audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ScriptedEngine()
    asked: list[SpeechOptions] = []
    with scripted_server(tmp_path, token="a-token", engine=engine) as server:
        opens = engine.open
        monkeypatch.setattr(
            engine,
            "open",
            lambda recording, options, *rest: (asked.append(options), opens(recording, options, *rest))[1],
        )
        given = ("--vocabulary", "Zoë, Wroclaw,", "--prompt", "Notes.", "--language", "tr-TR")
        done = run("stream", f"{server.url}/#token=a-token", sample_audio / "quickstart.wav", "--fast", *given)
        assert done.returncode == 0, done.stderr
    assert asked == [SpeechOptions("tr", prompt="Notes.", vocabulary=(Term("Zoë"), Term("Wroclaw")))]


def test_stream_into_a_file_with_the_token_from_the_environment(link: str, sample_audio: Path, tmp_path: Path) -> None:
    url, _, token = link.partition("/#token=")
    output = tmp_path / "final.json"
    done = run("stream", url, sample_audio / "quickstart.wav", "--fast", "--output", output, OPENMIC_CLIENT_TOKEN=token)
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(output.read_text(encoding="utf-8"))["type"] == "final"


def test_the_link_from_the_environment_where_nobody_else_reads_it(link: str, sample_audio: Path) -> None:
    done = run("stream", "-", sample_audio / "quickstart.wav", "--fast", OPENMIC_LINK=link)
    assert done.returncode == 0
    assert json.loads(done.stdout)["type"] == "final"
    assert run("stream", "-", sample_audio / "quickstart.wav", OPENMIC_LINK="").returncode != 0


def test_a_links_own_token_is_shown_and_no_other_servers(link: str, sample_audio: Path) -> None:
    """OPENMIC_TOKEN is the setting of a server on this machine: it is nothing for whoever sent the link."""
    mine = {"OPENMIC_TOKEN": "my-own-servers-token", "OPENMIC_CLIENT_TOKEN": "another-one"}
    assert run("stream", link, sample_audio / "quickstart.wav", "--fast", **mine).returncode == 0
    url = link.partition("/#token=")[0]
    refused = run("stream", url, sample_audio / "quickstart.wav", "--fast", OPENMIC_TOKEN="my-own-servers-token")
    assert refused.returncode != 0
    assert "token" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stream", "{url}", "{file}", "--token", "wrong"), "token"),
        (("stream", "{url}", "{file}"), "No token was given"),
        (("stream", "{link}", "nowhere.wav"), "nowhere.wav cannot be read"),
        (("stream", "{link}", "{text}"), "is unknown"),
        (("stream", "{link}", "{file}", "--fast", "--language", "xx"), "'xx'"),
        (("serve", "--port", "70000"), "The setting port cannot be used"),
        (("demo", "--file", "nowhere.wav"), "nowhere.wav cannot be read"),
    ],
)
def test_what_people_do_wrong_is_told_in_three_parts(
    link: str, sample_audio: Path, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {
        "url": link.partition("/#")[0],
        "link": link,
        "file": str(sample_audio / "quickstart.wav"),
        "text": str(sample_audio / "quickstart.txt"),
    }
    assert main([part.format(**names) for part in arguments]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert "\nWhy: " in err
    assert "\nWhat to do: " in err
    assert out == ""


@pytest.mark.parametrize("way", ["plain", "json", "output"])
def test_a_final_that_an_error_follows_is_still_given(
    link: str,
    sample_audio: Path,
    tmp_path: Path,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    disk_full_after(3.0, monkeypatch)
    output = tmp_path / "final.json"
    options = {"plain": [], "json": ["--json"], "output": ["--output", str(output)]}[way]
    assert main(["stream", link, str(sample_audio / "quickstart.wav"), "--fast", *options]) == 2
    out, err = capsys.readouterr()
    written = output.read_text(encoding="utf-8") if way == "output" else out
    final = json.loads(written.splitlines()[-1] if way == "json" else written)
    assert final["type"] == "final"
    assert 0 < final["duration"] <= 3.0
    told = err.splitlines()[-3:]
    assert told[0] == "The server could not write this session to its disk."
    assert told[1].startswith("Why: ")
    assert told[2].startswith("What to do: ")


def disk_full_after(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the services of this process have no room for more of a recording."""
    append = DiskRecording.append

    def refuse(recording: DiskRecording, samples: np.ndarray) -> None:
        if len(recording) + len(samples) > seconds * SAMPLE_RATE:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(recording, samples)

    monkeypatch.setattr(DiskRecording, "append", refuse)


def test_a_wrong_command_line_explains_itself() -> None:
    done = run("strem")
    assert done.returncode == 2
    assert "stream" in done.stderr
    assert run("--version").stdout.startswith("openmic ")


def test_a_reader_that_has_gone_is_no_fault(link: str, sample_audio: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "openmic",
        "stream",
        link,
        str(sample_audio / "quickstart.wav"),
        "--fast",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait(120) == 1


def test_ctrl_c_ends_the_recording_and_brings_the_final(link: str, sample_audio: Path) -> None:
    command = [sys.executable, "-m", "openmic", "stream", link, str(sample_audio / "interview.wav"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        read_until(process, '"commit"')
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    final = next(message for message in map(json.loads, out.splitlines()) if message["type"] == "final")
    assert 0 < final["duration"] < 30


@pytest.mark.slow
def test_serve_shows_its_card_and_finishes_on_ctrl_c() -> None:
    with scripted("serve") as process:
        card = read_until(process, "Ctrl-C again")
        assert "/#token=" in card
        assert "▄▄▄▄▄" not in card, "a code of 127.0.0.1 leads a phone to itself"
        assert "NGROK_AUTHTOKEN" in card
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_a_second_signal_stops_serve_at_once(number: signal.Signals, sample_audio: Path) -> None:
    with scripted("serve", endless=True, OPENMIC_STOP_SECONDS="600") as process:
        card = read_until(process, "Ctrl-C again")
        link = next(word for word in card.split() if "#token=" in word)
        command = [sys.executable, "-m", "openmic", "stream", link, str(sample_audio / "interview.wav"), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as client:
            read_until(client, '"live"')
            process.send_signal(number)
            read_until(process, "Stopping.")
            assert process.poll() is None
            process.send_signal(number)
            assert process.wait(120) == 128 + number
            client.kill()


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("given", [False, True])
def test_demo_streams_the_sample_to_a_service_of_its_own(sample_audio: Path, given: bool) -> None:
    with scripted("demo", *(["--file", str(sample_audio / "quickstart.wav")] if given else [])) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    head, brace, tail = out.partition("\n{")
    assert f"streaming quickstart.wav {'' if given else '(as a browser records it) '}to it" in head
    assert "  live  " in head
    assert "  commit  one" in head
    assert json.loads(brace + tail)["duration"] > 10


@pytest.mark.slow
def test_demo_fails_where_a_recording_of_a_browser_would() -> None:
    with scripted("demo", decodes_no_container=True) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert '"final"' not in out
    assert "Traceback" not in out + err


def test_check_hands_over_to_the_bootstrap(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    assert "torch" in capfd.readouterr().out
