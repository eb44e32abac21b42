"""Tokens as the notebook's owner has them in hand, and that none shows where it must not."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import openmic.service.service as launching
from openmic.client import StreamFailed, stream_file
from openmic.errors import OpenmicError
from openmic.service.launch import launch, stop_current
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tunnel_fixtures import AUTHTOKEN, make_ngrok_agent
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(launching, "load_engine", lambda settings, progress: ScriptedEngine())
    monkeypatch.setenv("OPENMIC_DATA_DIR", str(tmp_path / "recordings"))
    monkeypatch.setenv("OPENMIC_STOP_SECONDS", "5")
    monkeypatch.setenv("OPENMIC_TUNNEL", "none")
    yield
    stop_current()


def status(mic: Any, path: str, token: str) -> int:
    answer = httpx.get(mic.local_url + path, headers={"Authorization": f"Bearer {token}"}, timeout=120)
    return answer.status_code


def test_the_link_is_a_testers_and_the_owners_token_opens_everything() -> None:
    with launch() as mic:
        assert [key.use for key in mic.tokens()] == ["tester", "owner"]
        assert mic.token != mic.owner_token
        assert status(mic, "/metrics", mic.token) == 403
        assert status(mic, "/metrics", mic.owner_token) == 200
        assert mic.owner_token not in str(mic.card()) + mic.card()._repr_html_()


def test_both_may_be_of_ones_own_but_not_the_same() -> None:
    with launch(token="for-all-of-you-here", owner_token="for-me-alone-and-nobody") as mic:
        assert (mic.token, mic.owner_token) == ("for-all-of-you-here", "for-me-alone-and-nobody")
        assert status(mic, "/v1/sessions", "for-me-alone-and-nobody") == 200
    with pytest.raises(OpenmicError) as caught:
        launch(token="the-same-for-both", owner_token="the-same-for-both")
    assert caught.value.code == "bad_token_request"


@pytest.mark.parametrize("token", ["a", "fifteen-letters", "sixteen letters and spaces", "sixteen-letters#"])
def test_a_token_of_ones_own_is_not_easily_guessed_and_fits_a_link(token: str) -> None:
    for name in ("token", "owner_token"):
        with pytest.raises(OpenmicError) as caught:
            launch(**{name: token})
        assert caught.value.code == "bad_token_request"
        assert f"{token}" not in str(caught.value).split()


def test_one_more_token_is_made_shown_and_taken_back(sample_audio: Path) -> None:
    with launch() as mic:
        made = mic.new_token(seconds=7200)
        card = mic.card(made)
        assert made.link == card.link == f"{mic.url}/#token={made.token}"
        assert "2 hours" in str(card)
        assert "seconds" not in mic.card().good_for
        assert stream_file(made.link, sample_audio / "quickstart.wav", realtime=False).duration > 10
        assert [key.id for key in mic.tokens()][2:] == [made.id]
        assert made.token not in repr(made) + repr(mic.tokens()) + repr(card)
        began = threading.Event()
        ended: list[StreamFailed] = []

        def speak() -> None:
            try:
                stream_file(made.link, sample_audio / "quickstart.wav", on_message=lambda message: began.set())
            except StreamFailed as failed:
                ended.append(failed)

        speaker = threading.Thread(target=speak)
        speaker.start()
        assert began.wait(120)
        mic.revoke(made)
        speaker.join(120)
        assert ended[0].code == "token_revoked"
        with pytest.raises(OpenmicError) as caught:
            mic.revoke("never made")
        assert caught.value.code == "no_such_token"
        mic.revoke(mic.token)
        assert [key.revoked for key in mic.tokens()] == [True, False, True]


def test_the_link_may_have_a_life() -> None:
    with launch(link_seconds=90) as mic:
        assert "90 seconds" in mic.card().good_for
        assert [key.seconds for key in mic.tokens()] == [90.0, None]


def test_no_secret_in_any_line_number_error_or_repr(
    tmp_path: Path,
    sample_audio: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PYNGROK_NGROK_PATH", str(make_ngrok_agent(tmp_path)))
    caplog.set_level(logging.DEBUG)
    authtoken = f"{AUTHTOKEN}mode_ok"
    secrets = [authtoken]
    seen: list[str] = []
    with launch(tunnel="ngrok", ngrok_authtoken=authtoken, cache_dir=tmp_path / "cache") as mic:
        extra = mic.new_token("owner", seconds=3600)
        secrets += [mic.token, mic.owner_token, extra.token]
        heard: list[dict[str, Any]] = []
        stream_file(mic.link, sample_audio / "quickstart.wav", realtime=False, on_message=heard.append)
        resume_token = heard[0]["resume_token"]
        secrets.append(resume_token)
        session_id = heard[0]["session_id"]
        for token in (mic.token, "wrong-guess", extra.token, resume_token):
            headers = {"Authorization": f"Bearer {token}"}
            for path in ("/metrics", "/v1/sessions", f"/v1/sessions/{session_id}", f"/v1/nothing?token={token}"):
                answer = httpx.get(mic.url + path, headers=headers, timeout=120)
                seen += [answer.text, repr(answer.headers)]
            with pytest.raises(OpenmicError) as caught:
                stream_file(f"{mic.local_url}/#token={token}x", sample_audio / "quickstart.wav", realtime=False)
            seen += [str(caught.value), repr(caught.value)]
        mic.revoke(extra)
        seen += [repr(part) for part in (mic, mic.settings, mic.status(), mic.tokens(), extra, mic.card(), mic._tokens)]
        seen += [repr(vars(mic)), repr(mic._tokens.keys), json.dumps(heard[1:])]
        log = mic.log_path
    assert log is not None
    seen.append(log.read_text(encoding="utf-8"))
    seen += capfd.readouterr()
    ours = [
        record for record in caplog.records if not record.name.startswith(("httpx", "httpcore", "websockets.client"))
    ]
    seen += [f"{record.getMessage()} {record.args} {record.exc_info} {vars(record)}" for record in ours]
    everything = "\n".join(seen)
    assert "session_opened" in everything
    assert "wrong-guess" not in everything
    for secret in secrets:
        assert secret not in everything


def test_a_link_that_moves_is_shown_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class StandIn:
        """A tunnel, which cannot be had here."""

        name = "stand-in"
        expires = None

        def __init__(self, public_url: str) -> None:
            self.public_url = public_url
            self.up = True

        def alive(self) -> bool:
            return self.up

        def close(self) -> None:
            self.up = False

    tunnels = iter([StandIn("https://old.example"), StandIn("https://new.example")])
    first: list[StandIn] = []

    def open_one(*_: object, **__: object) -> StandIn:
        first.append(next(tunnels))
        return first[-1]

    monkeypatch.setattr(launching, "open_tunnel", open_one)
    with launch(tunnel="ngrok") as mic:
        made = mic.link
        assert "old.example" in made
        first[0].up = False
        wait_until(lambda: "new.example" in mic.link)
        assert mic.link == made.replace("old", "new")
        assert "new.example" in str(mic.card())
        assert "new.example" in mic.dashboard().html()
