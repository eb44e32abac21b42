"""The whole way of a public link: launch, pyngrok, its stand-in agent, and a client that comes through the tunnel."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import openmic.service.service as launching
from openmic.client import stream_file
from openmic.errors import OpenmicError
from openmic.service.launch import launch, stop_current
from openmic.service.service import OpenMic
from openmic.tunnels.problems import PROBLEMS
from openmic.tunnels.terms import NGROK_FREE_PLAN
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tunnel_fixtures import AUTHTOKEN, make_ngrok_agent, running_under
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine with a scripted engine and a stand-in agent."""
    monkeypatch.setattr(launching, "load_engine", lambda settings, progress: ScriptedEngine())
    monkeypatch.setenv("OPENMIC_DATA_DIR", str(tmp_path / "recordings"))
    monkeypatch.setenv("OPENMIC_STOP_SECONDS", "5")
    monkeypatch.setenv("PYNGROK_NGROK_PATH", str(make_ngrok_agent(tmp_path)))
    yield
    stop_current()


def launch_with(mode: str, folder: Path, **settings: Any) -> OpenMic:
    """A service behind an agent that behaves as ``mode`` says."""
    return launch(tunnel="ngrok", ngrok_authtoken=f"{AUTHTOKEN}mode_{mode}", cache_dir=folder / "cache", **settings)


def said_by(mic: OpenMic, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> str:
    """All that anybody gets to see of a service."""
    mic.card().print(sys.stdout)
    shown = [
        repr(mic),
        repr(mic.settings),
        mic.card()._repr_html_(),
        mic.dashboard().html(),
        repr(mic.status()),
        caplog.text,
    ]
    return "\n".join([*shown, *capfd.readouterr()])


def test_a_client_streams_through_the_public_link(
    tmp_path: Path, sample_audio: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with launch_with("ok", tmp_path) as mic:
        assert mic.url != mic.local_url
        assert mic.link == f"{mic.url}/#token={mic.token}"
        card = str(mic.card())
        assert mic.link in card
        assert NGROK_FREE_PLAN in card
        assert mic.status().tunnel == "ngrok"

        seen: list[str] = []
        result = stream_file(
            mic.link,
            sample_audio / "quickstart.wav",
            realtime=False,
            words=True,
            on_message=lambda message: seen.append(message["type"]),
        )
        assert result.text == " heard 15.2 seconds"
        assert result.live_text.startswith("one two three")
        assert {"ready", "live", "commit"} <= set(seen)
        assert seen[-2:] == ["final", "done"]
        assert mic.status().sessions[0].session_id == result.session_id

        public = mic.link
        said = said_by(mic, capfd, caplog)
        assert mic.link in said
        logged = [record.getMessage() for record in caplog.records if record.name != "websockets.client"]  # this test's
        assert mic.token not in "\n".join(logged)
    assert AUTHTOKEN not in said + capfd.readouterr().out + caplog.text
    assert running_under(tmp_path) == []
    with pytest.raises(OpenmicError):
        stream_file(public, sample_audio / "quickstart.wav", realtime=False)


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("107", "authtoken_revoked"),
        ("4018", "authtoken_missing"),
        ("334", "url_online_elsewhere"),
        ("dies", "agent_died"),
    ],
)
def test_an_agent_that_fails_is_told_and_the_local_link_works(
    mode: str,
    code: str,
    tmp_path: Path,
    sample_audio: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    mic = launch_with(mode, tmp_path)
    said, complaints = capfd.readouterr()
    row = PROBLEMS[code]
    lines = said.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(row.what.partition("{")[0]))
    assert lines[at + 1].startswith(f"Why: {row.why.partition('{')[0]}")
    assert lines[at + 2].startswith(f"What to do: {row.hint.partition('{')[0]}")
    assert lines[at + 3] == "The service runs with its local link."
    assert mic.url == mic.local_url
    result = stream_file(mic.link, sample_audio / "quickstart.wav", realtime=False)
    assert result.text == " heard 15.2 seconds"
    said += complaints + said_by(mic, capfd, caplog)
    assert "This link works on this machine only" in said
    assert AUTHTOKEN not in said
    assert "Traceback" not in said
    assert running_under(tmp_path) == []


def test_an_agent_that_dies_later_shows_in_the_status_and_the_local_link_works(
    tmp_path: Path, sample_audio: Path
) -> None:
    with launch_with("dies_later", tmp_path) as mic:
        wait_until(lambda: "being opened again" in mic.status().tunnel)
        result = stream_file(f"{mic.local_url}/#token={mic.token}", sample_audio / "quickstart.wav", realtime=False)
        assert result.text == " heard 15.2 seconds"
