"""pyngrok drives a stand-in agent; bytes really go through its public port."""

from __future__ import annotations

import http.server
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr
from tunnel_fixtures import make_ngrok_agent
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from openmic.errors import OpenmicError
from openmic.settings import Settings
from openmic.tunnels import open_tunnel, problem_from_outside
from openmic.tunnels.ngrok import NgrokTunnel, open_ngrok
from openmic.tunnels.problems import NGROK_CODES, PROBLEMS

AUTHTOKEN = "2standIn7QxAuthtoken9ZpLongEnough"
WAIT_SECONDS = 20.0

Open = Callable[..., NgrokTunnel]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers ``ok`` to everything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, object]]]:
    path = tmp_path / "journal"
    monkeypatch.setenv("NGROK_STAND_IN_JOURNAL", str(path))
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def open_one(tmp_path: Path, port: int) -> Iterator[Open]:
    """Open a tunnel to ``port`` with a stand-in in a given mode; closed after the test."""
    program = make_ngrok_agent(tmp_path)
    opened: list[NgrokTunnel] = []

    def open_one(mode: str = "ok", **options: object) -> NgrokTunnel:
        options = {"start_seconds": 20.0, **options}
        authtoken = SecretStr(f"{AUTHTOKEN}mode_{mode}")
        tunnel = open_ngrok(authtoken, options.pop("port", port), program, tmp_path / "running", **options)
        opened.append(tunnel)
        return tunnel

    yield open_one
    for tunnel in opened:
        tunnel.close()


def agents(tmp_path: Path) -> list[psutil.Process]:
    """The live agents whose command line names this test's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            arguments = process.cmdline()
            if (
                process.status() != psutil.STATUS_ZOMBIE
                and "start" in arguments
                and str(tmp_path) in " ".join(arguments)
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_http_goes_through_the_public_port(open_one: Open) -> None:
    tunnel = open_one()
    assert httpx.get(f"{tunnel.public_url}/healthz").text == "ok"
    assert problem_from_outside(tunnel) is None
    assert tunnel.alive()
    assert tunnel.name == "ngrok"
    assert tunnel.expires is not None
    assert "token" in tunnel.expires


def test_a_websocket_goes_through_the_public_port(open_one: Open) -> None:
    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            tunnel = open_one(port=server.socket.getsockname()[1])
            with connect(tunnel.public_url.replace("http", "ws", 1)) as client:
                sent = [b"\x00\x01" * 40_000, "merhaba"]
                for message in sent:
                    client.send(message)
                assert [client.recv(), client.recv()] == sent
        finally:
            server.shutdown()
            thread.join()


def test_the_endpoint_is_asked_for_in_version_3(
    open_one: Open, port: int, journal: Callable[[], list[dict[str, object]]]
) -> None:
    open_one(url="mine.ngrok.app")
    bodies = [event["body"] for event in journal() if event.get("method") == "POST"]
    assert bodies == [
        {
            "name": "openmic",
            "upstream": {"url": f"http://127.0.0.1:{port}"},
            "inspect": False,
            "url": "https://mine.ngrok.app",
        }
    ]


def test_close_signs_off_ends_the_agent_and_leaves_nothing(
    open_one: Open, tmp_path: Path, journal: Callable[[], list[dict[str, object]]]
) -> None:
    tunnel = open_one()
    assert len(agents(tmp_path)) == 1
    tunnel.close()
    tunnel.close()
    assert not tunnel.alive()
    assert agents(tmp_path) == []
    assert list((tmp_path / "running").iterdir()) == []
    assert [event["endpoints"] for event in journal() if event["event"] == "signed off"] == [[]]
    with pytest.raises(httpx.HTTPError):
        httpx.get(tunnel.public_url)


def test_an_agent_that_ignores_the_signal_is_ended_all_the_same(open_one: Open, tmp_path: Path) -> None:
    tunnel = open_one("stubborn")
    tunnel.close()
    assert agents(tmp_path) == []


def test_a_second_tunnel_has_its_own_agent(open_one: Open, tmp_path: Path) -> None:
    first, second = open_one(), open_one()
    assert first.public_url != second.public_url
    assert len(agents(tmp_path)) == 2
    second.close()
    assert first.alive()
    assert httpx.get(first.public_url).text == "ok"


def test_an_agent_that_dies_is_noticed(open_one: Open) -> None:
    tunnel = open_one("dies_later")
    wait_until(lambda: not tunnel.alive())
    problem = problem_from_outside(tunnel)
    assert problem is not None
    assert problem.code == "not_reachable_from_here"
    tunnel.close()


def test_a_talkative_agent_does_not_choke_on_its_log(
    open_one: Open, journal: Callable[[], list[dict[str, object]]]
) -> None:
    tunnel = open_one("noisy")
    wait_until(lambda: any(event["event"] == "said everything" for event in journal()))
    assert httpx.get(tunnel.public_url).text == "ok"


@pytest.mark.parametrize("number", [n for n in NGROK_CODES if n not in (3200, 8012)])
def test_every_code_of_the_table_has_its_row(open_one: Open, tmp_path: Path, number: int) -> None:
    with pytest.raises(OpenmicError) as caught:
        open_one(str(number))
    assert caught.value.code == NGROK_CODES[number]
    assert str(number) in str(caught.value)
    assert agents(tmp_path) == []
    assert list((tmp_path / "running").iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("299", "ngrok_other"),
        ("999", "ngrok_other"),
        ("stderr_107", "authtoken_revoked"),
        ("dies", "agent_died"),
        ("dies_after_probe", "agent_died"),
        ("http_500", "ngrok_other"),
    ],
)
def test_other_failures_have_their_row(open_one: Open, tmp_path: Path, mode: str, code: str) -> None:
    with pytest.raises(OpenmicError) as caught:
        open_one(mode)
    assert caught.value.code == code
    if mode.isdigit():
        assert f"ERR_NGROK_{mode}" in str(caught.value)
    assert agents(tmp_path) == []
    assert list((tmp_path / "running").iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("hang", "agent_start_timeout"),
        ("unreachable", "ngrok_unreachable"),
        ("old_api", "agent_too_old"),
        ("deaf_api", "agent_too_old"),
    ],
)
def test_an_agent_that_never_gets_ready_is_ended(open_one: Open, tmp_path: Path, mode: str, code: str) -> None:
    with pytest.raises(OpenmicError) as caught:
        open_one(mode, start_seconds=3.0)
    assert caught.value.code == code
    assert agents(tmp_path) == []
    assert list((tmp_path / "running").iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "code"),
    [("3200", "agent_offline"), ("8012", "server_unreachable"), ("725v", "month_used_up"), ("727v", "month_used_up")],
)
def test_what_visitors_meet_is_explained(open_one: Open, mode: str, code: str) -> None:
    problem = problem_from_outside(open_one(mode))
    assert problem is not None
    assert problem.code == code


def test_a_server_that_stopped_is_explained(open_one: Open, tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as gone:
        port = gone.server_port
    problem = problem_from_outside(open_one(port=port))
    assert problem is not None
    assert problem.code == "server_unreachable"


MODES_WITH_THE_AUTHTOKEN_IN_THEIR_TEXT = ["ok", "105", "107", "999", "http_500", "stderr_107", "4018"]


@pytest.mark.parametrize("mode", MODES_WITH_THE_AUTHTOKEN_IN_THEIR_TEXT)
def test_the_authtoken_is_nowhere(
    mode: str,
    tmp_path: Path,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    journal: Callable[[], list[dict[str, object]]],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    authtoken = f"{AUTHTOKEN}mode_{mode}"
    monkeypatch.setenv("PYNGROK_NGROK_PATH", str(make_ngrok_agent(tmp_path)))
    monkeypatch.setenv("NGROK_AUTHTOKEN", authtoken)
    settings = Settings(tunnel="auto", cache_dir=tmp_path)
    said = repr(settings)
    error: OpenmicError | None = None
    try:
        tunnel = open_tunnel(settings, port)
        assert tunnel is not None
        said += repr(tunnel) + repr(vars(tunnel))
        for process in agents(tmp_path):
            said += " ".join(process.cmdline()) + str(process.environ().get("NGROK_AUTHTOKEN"))
        tunnel.close()
        assert mode == "ok"
    except OpenmicError as raised:
        error = raised
    if mode != "ok":
        assert error is not None
        assert error.__cause__ is None
        assert error.__context__ is None
        said += "".join(traceback.format_exception(error)) + repr(error.__dict__) + str(error.args)
        frames = error.__traceback__.tb_next if error.__traceback__ else None  # without this test's own
        said += "".join(traceback.TracebackException(type(error), error, frames, capture_locals=True).format())
        assert "in open_ngrok" in said
    out, err = capfd.readouterr()
    said += out + err + caplog.text
    said += json.dumps([event for event in journal() if event["event"] == "start"])
    assert "start" in said
    assert 'authtoken_in_environment": false' in said
    assert AUTHTOKEN not in said
    assert "ERROR" not in out + err  # nor does the agent's own complaint stand beside ours


def test_logs_of_pyngrok_reach_a_listener_redacted(open_one: Open, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(OpenmicError):
        open_one("107")
    assert "ERR_NGROK_107" in caplog.text
    assert "[hidden]" in caplog.text
    assert AUTHTOKEN not in caplog.text


def test_the_configuration_is_private_and_only_the_settings_authtoken_counts(
    open_one: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGROK_AUTHTOKEN", "2anotherAuthtokenMode_mode_107")
    open_one("ok")
    (config,) = (tmp_path / "running").glob("*/ngrok.yml")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700


OWNER = """
import sys, time
from pathlib import Path
from pydantic import SecretStr
from openmic.tunnels.ngrok import open_ngrok
tunnel = open_ngrok(SecretStr("2tokenOfTheOwner"), int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
print(tunnel._agent.proc.pid, flush=True)
time.sleep(600)
"""


def start_owner(python: str, port: int, program: Path, root: Path) -> tuple[subprocess.Popen[str], psutil.Process]:
    owner = subprocess.Popen(
        [python, "-c", OWNER, str(port), str(program), str(root)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    return owner, psutil.Process(int(owner.stdout.readline()))


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_next_open_ends_an_orphan_and_only_that(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = make_ngrok_agent(tmp_path)
    root = tmp_path / "tunnels" / "running"
    killed, orphan = start_owner(sys.executable, port, program, root)
    living, neighbour = start_owner(sys.executable, port, program, root)
    config = tmp_path / "users-own.yml"
    config.write_text('version: "3"\nagent:\n  authtoken: "2tokenOfTheUser"\n')
    users_own = subprocess.Popen(
        [program, "start", "--none", "--log", "stdout", "--config", config], stdout=subprocess.PIPE
    )
    tunnel = None
    try:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert lives(orphan)  # the agent outlives its kernel

        monkeypatch.setenv("PYNGROK_NGROK_PATH", str(program))
        settings = Settings(tunnel="ngrok", ngrok_authtoken=SecretStr(AUTHTOKEN), cache_dir=tmp_path)
        tunnel = open_tunnel(settings, port)
        assert tunnel is not None
        assert not lives(orphan)
        assert lives(neighbour)
        assert users_own.poll() is None
        assert len(list(root.iterdir())) == 2  # the neighbour's and ours
    finally:
        if tunnel is not None:
            tunnel.close()
        living.terminate()
        living.wait()
        users_own.terminate()
        for process in (killed, living, users_own):
            process.communicate()
        for process in (orphan, neighbour):
            if lives(process):
                process.kill()


def test_leaving_the_interpreter_ends_the_agent(tmp_path: Path, port: int) -> None:
    code = OWNER.replace("time.sleep(600)", "")
    root = tmp_path / "running"
    done = subprocess.run(
        [sys.executable, "-c", code, str(port), str(make_ngrok_agent(tmp_path)), str(root)],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS * 3,
        check=True,
    )
    assert not psutil.pid_exists(int(done.stdout))
    assert list(root.iterdir()) == []
    assert done.stderr == ""


def test_every_row_that_stands_for_a_code_is_there() -> None:
    assert set(NGROK_CODES.values()) <= set(PROBLEMS)
