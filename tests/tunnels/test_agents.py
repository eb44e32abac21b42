"""Folders of running programs, and the orphans in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from openmic.errors import OpenmicError
from openmic.tunnels.agents import AgentFolder, end_orphans, end_process

SLEEP = "import time; time.sleep(600)"


def sleeper(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", SLEEP, *arguments])


def end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def orphaned(root: Path, **changes: object) -> tuple[AgentFolder, subprocess.Popen[bytes]]:
    """A folder whose recorded owner has ended, and its program."""
    owner = subprocess.run(
        [sys.executable, "-S", "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    folder = AgentFolder(root, Path(sys.executable))
    agent = sleeper(str(folder.path / "config.yml"))
    folder.record(agent.pid)
    path = folder.path / "agent.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "owner_pid": int(owner.stdout), "owner_started": 1.0, **changes}))
    return folder, agent


def test_a_folder_is_private_and_says_who(tmp_path: Path) -> None:
    folder = AgentFolder(tmp_path / "running", Path("/bin/agent"))
    folder.record(os.getpid())
    record = json.loads(folder.read("agent.json"))
    assert (record["program"], record["pid"], record["owner_pid"]) == ("/bin/agent", os.getpid(), os.getpid())
    assert record["started"] == pytest.approx(psutil.Process().create_time())
    assert folder.path.stat().st_mode & 0o077 == 0
    assert folder.write("secret", "x").stat().st_mode & 0o077 == 0
    assert folder.read("not there") == ""
    folder.remove()
    folder.remove()
    assert not folder.path.exists()


def test_an_orphan_is_ended_and_its_folder_removed(tmp_path: Path) -> None:
    folder, agent = orphaned(tmp_path)
    assert end_orphans(tmp_path) == [agent.pid]
    assert agent.wait(120) != 0
    assert not folder.path.exists()
    assert end_orphans(tmp_path) == []


def test_a_living_owners_program_is_left_alone(tmp_path: Path) -> None:
    folder = AgentFolder(tmp_path, Path(sys.executable))
    agent = sleeper(str(folder.path))
    folder.record(agent.pid)
    assert end_orphans(tmp_path) == []
    assert agent.poll() is None
    assert folder.path.exists()
    end(agent)


def test_a_number_given_out_again_is_not_mistaken_for_the_program(tmp_path: Path) -> None:
    folder, agent = orphaned(tmp_path, started=time.time() - 3600)
    assert end_orphans(tmp_path) == []
    assert agent.poll() is None
    assert not folder.path.exists()
    end(agent)


def test_a_program_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    stranger = sleeper("--config", "somebody's.yml")
    started = psutil.Process(stranger.pid).create_time()
    _, agent = orphaned(tmp_path, pid=stranger.pid, started=started)
    assert end_orphans(tmp_path) == []
    assert stranger.poll() is None
    end(stranger, agent)


@pytest.mark.parametrize("record", ["", "{", "[]", '{"pid": 1}'])
def test_a_folder_being_made_is_left_until_it_is_old(tmp_path: Path, record: str) -> None:
    folder = tmp_path / "running" / "half"
    folder.mkdir(parents=True)
    (folder / "agent.json").write_text(record)
    (tmp_path / "running" / "a file").write_text("")
    assert end_orphans(tmp_path / "running") == []
    assert folder.exists()
    os.utime(folder, (1.0, 1.0))
    end_orphans(tmp_path / "running")
    assert not folder.exists()


def test_no_folder_no_orphans(tmp_path: Path) -> None:
    assert end_orphans(tmp_path / "never made") == []


def test_ending_what_has_ended_is_fine() -> None:
    process = sleeper()
    handle = psutil.Process(process.pid)
    end_process(handle)
    process.wait(120)
    end_process(handle)
    assert not handle.is_running()


def test_a_process_that_has_ended_is_not_recorded(tmp_path: Path) -> None:
    process = sleeper()
    end(process)
    folder = AgentFolder(tmp_path, Path("agent"))
    folder.record(process.pid)
    assert json.loads(folder.read("agent.json"))["pid"] is None


def test_a_folder_that_cannot_be_made_is_a_problem_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OpenmicError) as caught:
        AgentFolder(tmp_path / "file" / "running", Path("agent"))
    assert caught.value.code == "folder_not_writable"
    folder = AgentFolder(tmp_path, Path("agent"))
    folder.remove()
    with pytest.raises(OpenmicError) as caught:
        folder.write("config", "x")
    assert caught.value.code == "folder_not_writable"
