"""The door over real connections: uses and lives of tokens, origins, blocked addresses, places, pace."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

import openmic.server.access.tokens
from openmic.server.access.tokens import TokenStore
from openmic.server.app import create_app
from openmic.server.problems import PROBLEMS
from openmic.server.thread import ServerThread
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.settings import Settings
from tests.support.running import running
from tests.support.scripted_engine import ScriptedEngine

WAIT = 120
PCM = {"type": "start", "encoding": "pcm_s16le", "sample_rate": 16_000}
TONE = (np.sin(np.arange(16_000) / 10) * 8000).astype("<i2").tobytes()  # 1 s
Json = dict[str, Any]


class Service:
    """The real app over the scripted engine, with keys of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = Settings(**{"data_dir": folder, "stop_seconds": 5.0, **settings})
        self.engine = ScriptedEngine()
        self.keys = TokenStore()
        self.tester, self.owner = self.keys.make("tester")[1], self.keys.make("owner")[1]
        self.sessions = Sessions(self.settings, self.engine)
        self.app = create_app(self.settings, self.sessions, self.keys)
        self.thread = ServerThread(self.app, "127.0.0.1", 0)
        self.thread.start()

    def get(self, path: str, token: str, **headers: str) -> httpx.Response:
        return httpx.get(self.thread.url + path, headers={"Authorization": f"Bearer {token}", **headers}, timeout=WAIT)

    @contextmanager
    def client(self, token: str | None = None, **headers: str) -> Iterator[ClientConnection]:
        url = self.thread.url.replace("http", "ws") + "/v1/stream"
        shown = {"Authorization": f"Bearer {token or self.tester}", **headers}
        with connect(url, additional_headers=shown, max_size=None, open_timeout=WAIT) as opened:
            yield opened

    def refusal(self, token: str | None = None, **headers: str) -> tuple[int, Json]:
        """The close code and the error that a connection gets."""
        with self.client(token, **headers) as one:
            with suppress(ConnectionClosed):  # it may be refused before it says anything
                one.send(json.dumps(PCM))
            messages, code = hear_out(one)
        return code, messages[-1]


def hear_out(one: ClientConnection) -> tuple[list[Json], int]:
    messages: list[Json] = []
    while True:
        try:
            messages.append(json.loads(one.recv(WAIT)))
        except ConnectionClosed as closed:
            return messages, closed.rcvd.code if closed.rcvd is not None else 1006


def hear(one: ClientConnection, kind: str) -> Json:
    while (message := json.loads(one.recv(WAIT)))["type"] != kind:
        assert message["type"] != "error", message
    return dict(message)


@contextmanager
def service(folder: Path, **settings: Any) -> Iterator[Service]:
    made = Service(folder, **settings)
    try:
        yield made
    finally:
        made.thread.stop()
        made.sessions.close()
        made.engine.close()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("door"), max_sessions=50) as made:
        yield made


def spoken(door: Service, token: str | None = None) -> Json:
    """The ready message of a stream that was spoken to the end."""
    with door.client(token) as one:
        one.send(json.dumps(PCM))
        ready = hear(one, "ready")
        one.send(TONE)
        one.send('{"type": "stop"}')
        assert hear_out(one)[1] == 1000
    return ready


# --- uses


def test_a_tester_speaks_and_reads_what_is_its_own(door: Service) -> None:
    mine, other = spoken(door), spoken(door)
    path = f"/v1/sessions/{mine['session_id']}.txt"
    assert door.get(path, mine["resume_token"]).text == "one\n"
    assert door.get(path, door.owner).text == "one\n"
    for token in (door.tester, other["resume_token"]):
        refused = door.get(path, token)
        assert refused.status_code == (403 if token == door.tester else 401)
    for path in ("/v1/sessions", "/metrics"):
        refused = door.get(path, door.tester)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "owner_only")
        assert door.get(path, mine["resume_token"]).status_code == 401
        assert door.get(path, door.owner).status_code == 200
    posted = httpx.post(
        door.thread.url + "/v1/audio/transcriptions",
        headers={"Authorization": f"Bearer {door.tester}"},
        files={"file": ("a.wav", (Path(__file__).parents[3] / "sample_audio" / "quickstart.wav").read_bytes())},
        timeout=120,
    )
    assert posted.json()["text"] == "heard 15.2 seconds"


# --- lives


def test_what_an_expired_token_began_goes_on_and_is_resumed_but_nothing_new_begins(
    door: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = door.keys.make("tester", seconds=3600.0)
    with door.client(secret) as one:
        one.send(json.dumps(PCM))
        ready = hear(one, "ready")
        an_hour_later = SimpleNamespace(monotonic=lambda: time.monotonic() + 3601, time=time.time)
        monkeypatch.setattr(openmic.server.access.tokens, "time", an_hour_later)
        one.send(TONE)
        hear(one, "commit")
    code, error = door.refusal(secret)
    assert (code, error["code"]) == (4401, "token_expired")
    assert door.get("/v1/nothing", secret).json()["error"]["code"] == "token_expired"
    with door.client(secret) as again:
        resume = {name: ready[name] for name in ("session_id", "resume_token")}
        again.send(json.dumps({"type": "resume", **resume, "after_seq": 0}))
        assert hear(again, "ready")["received_bytes"] == len(TONE)
        again.send('{"type": "stop"}')
        messages, code = hear_out(again)
    assert code == 1000
    assert [message["type"] for message in messages][-2:] == ["final", "done"]


def test_a_revoked_token_ends_its_connections_and_finishes_what_they_said(door: Service) -> None:
    key, secret = door.keys.make("tester")
    with door.client(secret) as one, door.client() as bystander:
        for stream in (one, bystander):
            stream.send(json.dumps(PCM))
        ready = hear(one, "ready")
        hear(bystander, "ready")
        one.send(TONE)
        hear(one, "ack")
        door.keys.revoke(key.id)
        messages, code = hear_out(one)
        assert code == 4401
        assert (messages[-1]["code"], messages[-1]["fatal"]) == ("token_revoked", True)
        session = door.sessions.get(ready["session_id"])
        assert session.ended.wait(WAIT)
        assert session.snapshot().final is not None
        bystander.send(TONE)
        bystander.send('{"type": "stop"}')
        assert hear_out(bystander)[1] == 1000
    code, error = door.refusal(secret)
    assert (code, error["code"]) == (4401, "token_revoked")
    assert door.get("/v1/nothing", secret).json()["error"]["code"] == "token_revoked"


# --- origins


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("http://localhost:3000", True),
        ("http://127.0.0.1:9", True),
        ("https://[::1]", True),
        ("https://friend.example", True),
        ("https://name.ngrok-free.app", True),
        ("https://evil.example", False),
        ("https://friend.example.evil.example", False),
        ("https://name.ngrok-free.app.evil.example", False),
        ("null", False),
        ("https://[", False),
    ],
)
def test_pages_of_others_must_be_allowed(tmp_path: Path, origin: str, passes: bool) -> None:
    with service(tmp_path, allowed_origins="https://friend.example https://other.example/") as door:
        door.thread.announce_public_url("https://name.ngrok-free.app")
        posted = httpx.post(
            door.thread.url + "/v1/audio/transcriptions",
            headers={"Authorization": f"Bearer {door.tester}", "Origin": origin},
        )
        if passes:
            with door.client(Origin=origin) as one:
                one.send(json.dumps(PCM))
                hear(one, "ready")
            assert posted.json()["error"]["code"] == "bad_request"
        else:
            code, error = door.refusal(Origin=origin)
            assert (code, error["code"]) == (4403, "origin_not_allowed")
            assert (posted.status_code, posted.json()["error"]["code"]) == (403, "origin_not_allowed")
            assert origin in error["message"]


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("https://mic.example", "mic.example:443", 400),
        ("http://mic.example", "mic.example:80", 400),
        ("https://mic.example:443", "mic.example", 400),
        ("http://mic.example", "mic.example:443", 403),
        ("https://mic.example:8443", "mic.example", 403),
        ("https://MIC.example", "mic.EXAMPLE", 400),
    ],
)
def test_a_schemes_own_port_makes_no_other_origin(tmp_path: Path, origin: str, host: str, status: int) -> None:
    with service(tmp_path, allowed_origins="http://mic.example:1") as door:  # so that the server has this name
        headers = {"Authorization": f"Bearer {door.tester}", "Origin": origin, "Host": host}
        posted = httpx.post(door.thread.url + "/v1/audio/transcriptions", headers=headers)
    assert posted.status_code == status


def test_its_own_page_and_all_pages_if_the_owner_says_so(tmp_path: Path) -> None:
    with (
        service(tmp_path / "own", allowed_origins="https://some.example") as door,
        socket.create_connection(("127.0.0.1", door.thread.port)) as line,
        connect(
            "ws://some.example/v1/stream",
            sock=line,
            additional_headers={"Authorization": f"Bearer {door.tester}"},
            origin=Origin("https://some.example"),
        ) as one,
    ):
        one.send(json.dumps(PCM))
        hear(one, "ready")
    with service(tmp_path / "all", allowed_origins="*") as door, door.client(Origin="https://evil.example") as one:
        one.send(json.dumps(PCM))
        hear(one, "ready")


# --- wrong tokens


def test_an_address_behind_our_tunnel_is_blocked_alone(tmp_path: Path) -> None:
    with service(tmp_path, max_wrong_tokens=3) as door:
        door.thread.announce_public_url("https://name.ngrok-free.app")
        guesser = {"X-Forwarded-For": "198.51.100.99, 203.0.113.7"}
        codes = [door.refusal("guess", **guesser)[1]["code"] for _ in range(5)]
        assert codes == ["token_wrong"] * 3 + ["too_many_wrong_tokens"] * 2
        code, error = door.refusal("guess", **guesser)
        assert (code, error["code"]) == (1013, "too_many_wrong_tokens")
        assert error["retry_after"] > 0
        refused = door.get("/v1/nothing", "guess", **guesser)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        for address in ("203.0.113.7", "203.0.113.8"):  # who has the right token may share an address with the guesser
            with door.client(**{"X-Forwarded-For": address}) as speaker:
                speaker.send(json.dumps(PCM))
                hear(speaker, "ready")
        with door.client(**{"X-Forwarded-For": "203.0.113.8"}) as neighbour:
            neighbour.send(json.dumps(PCM))
            hear(neighbour, "ready")
        metrics = door.get("/metrics", door.owner).text
        assert "openmic_blocked_addresses 1.0" in metrics
        assert "openmic_wrong_tokens_total 3.0" in metrics


def test_without_a_tunnel_of_ours_the_header_counts_for_nothing_and_the_right_token_passes(tmp_path: Path) -> None:
    with service(tmp_path, max_wrong_tokens=3) as door:
        codes = [door.refusal("guess", **{"X-Forwarded-For": f"203.0.113.{n}"})[1]["code"] for n in range(5)]
        assert codes == ["token_wrong"] * 3 + ["too_many_wrong_tokens"] * 2
        assert door.app.state.entry.wrong_tokens.blocked() == 1
        spoken(door)  # this machine: others may come from here too, through a proxy of the owner's


# --- places and pace


def test_one_connection_too_many(tmp_path: Path) -> None:
    with service(tmp_path, max_connections=1) as door:
        with door.client() as one:
            one.send(json.dumps(PCM))
            hear(one, "ready")
            code, error = door.refusal()
            assert (code, error["code"]) == (1013, "too_many_connections")
            one.send('{"type": "stop"}')
            assert hear_out(one)[1] == 1000
        deadline = time.monotonic() + WAIT
        while len(door.app.state.connections):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        spoken(door)


@pytest.mark.slow
def test_a_client_that_sends_too_many_messages_is_slowed_and_loses_none(tmp_path: Path) -> None:
    with service(tmp_path, max_message_rate=50) as door, door.client() as one:
        one.send(json.dumps(PCM))
        hear(one, "ready")
        began = time.monotonic()
        for start in range(0, 8000, 40):  # 200 messages: 2 s of them at once, the other 2 s at their rate
            one.send(TONE[start : start + 40])
        one.send('{"type": "stop"}')
        messages, code = hear_out(one)
        assert time.monotonic() - began > 1.5
    assert code == 1000
    assert messages[-2]["duration"] == 0.25


@pytest.mark.slow
def test_a_client_faster_than_the_decoder_is_slowed_by_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(tmp_path, max_backlog_bytes=65_536, max_message_bytes=65_536) as door, door.client() as one:
        one.send(json.dumps({"type": "start"}))
        session = running(door.sessions.get(hear(one, "ready")["session_id"]))
        reading = threading.Event()
        on_samples = session.on_samples

        def slow(*heard_now: Any, **more: Any) -> None:
            reading.wait(WAIT)
            on_samples(*heard_now, **more)

        monkeypatch.setattr(session, "on_samples", slow)
        sound = (Path(__file__).parents[3] / "sample_audio" / "interview.wav").read_bytes()
        sender = threading.Thread(
            target=lambda: [one.send(sound[n : n + 65_536]) for n in range(0, len(sound), 65_536)]
        )
        sender.start()
        deadline = time.monotonic() + WAIT
        while not session.backlog_bytes:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(1.0)
        assert session.backlog_bytes <= 3 * 65_536
        assert door.app.state.metrics.text().count(b"openmic_backlog_bytes 0.0") == 0
        reading.set()
        sender.join(WAIT)
        one.send('{"type": "stop"}')
        messages, code = hear_out(one)
    assert code == 1000
    assert session.received_bytes == len(sound)
    assert messages[-2]["duration"] == pytest.approx((len(sound) - 44) / 32_000, abs=0.1)


@pytest.mark.slow
def test_errors_and_pongs_do_not_pile_up_for_a_client_that_does_not_read(tmp_path: Path) -> None:
    with service(tmp_path, max_message_rate=100_000) as door, door.client() as one:
        one.send(json.dumps(PCM))
        hear(one, "ready")
        (connection,) = door.app.state.connections._tasks
        for _ in range(20_000):
            one.send('{"type": "ping"}')
            one.send('{"type": "dance"}')
        one.send(TONE)
        one.send('{"type": "stop"}')
        assert connection.waiting_messages() < 10
        assert hear_out(one)[1] == 1000


def test_everybody_connected_is_told_of_a_new_address(door: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also who has only just read that its stream has begun, before the server's side has come back from it."""
    told, attach = threading.Event(), Session.attach

    def slowly(session: Session, *arguments: Any) -> None:
        attach(session, *arguments)
        told.wait(WAIT)

    monkeypatch.setattr(Session, "attach", slowly)
    with door.client() as one:
        one.send(json.dumps(PCM))
        hear(one, "ready")
        url = "https://new.example"
        door.thread.warn(PROBLEMS.error("public_url_changed", url=url), url)
        told.set()
        warning = hear(one, "warning")
        assert (warning["code"], warning["url"], warning["fatal"]) == ("public_url_changed", url, False)
        one.send('{"type": "stop"}')
        assert hear_out(one)[1] == 1000
