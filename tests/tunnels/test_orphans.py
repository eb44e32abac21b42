"""Agents outlive a kernel that is killed, and end with everything else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from openmic.settings import Settings
from openmic.tunnels import open_tunnel
from tests.support.tunnel_fixtures import AUTHTOKEN, WAIT_SECONDS, http_server, lives, make_ngrok_agent


@pytest.fixture
def port() -> Iterator[int]:
    with http_server() as port:
        yield port


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


@pytest.mark.slow
@pytest.mark.faults
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
