"""Two servers on one folder, over the wire: which of them is asked makes no difference."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

import openmic.sessions.keeper
from openmic.cli.main import main
from openmic.client import connect, parse_link
from openmic.client.socket import open_socket
from openmic.errors import OpenmicError
from openmic.notebook.picture import status_text
from openmic.notebook.status import Status
from openmic.service.status import read_status
from tests.support.client_audio import PCM
from tests.support.killed_server import KilledServer
from tests.support.scripted_engine import ScriptedServer, scripted_server
from tests.support.speaker import Speaker
from tests.support.waiting import wait_until

SECOND = (np.sin(np.arange(16_000) / 9) * 9000).astype("<i2").tobytes()
LEASE_SECONDS = 1.0


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[ScriptedServer]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(scripted_server(tmp_path, lease_seconds=LEASE_SECONDS, replica=f"replica {number}"))
            for number in range(2)
        ]


def test_a_client_whose_server_must_go_goes_on_at_the_other_by_itself(servers: list[ScriptedServer]) -> None:
    async def run() -> None:
        async with connect(servers[0].link, find_link=lambda: servers[1].link, **PCM) as stream:  # type: ignore[arg-type]
            for _ in range(2):
                await stream.send(SECOND)
            while stream.confirmed_bytes < 2 * len(SECOND):  # noqa: ASYNC110 (it is said to the stream, not to here)
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(servers[0].sessions.hand_over) == 0
            await stream.send(SECOND)
            await stream.stop()
            async for message in stream:
                kinds.append(message["type"])
            assert stream.result is not None
            assert (stream.result.duration, stream.result.live_text) == (3.0, "one two three")

    kinds: list[str] = []
    asyncio.run(run())
    assert "error" not in kinds
    assert kinds.count("connection") == 2  # lost, and resumed
    assert [kind for kind in kinds if kind in ("commit", "final", "done")] == ["commit"] * 3 + ["final", "done"]
    assert len(servers[1].sessions.list()) == 1


def test_downloads_status_and_deletion_are_anybodys(servers: list[ScriptedServer]) -> None:
    async def run() -> None:
        async with connect(servers[0].link, **PCM) as stream:  # type: ignore[arg-type]
            await stream.send(SECOND)
            while not stream.confirmed_bytes:  # noqa: ASYNC110 (it is said to the stream, not to here)
                await asyncio.sleep(0.01)
            headers = {"Authorization": f"Bearer {stream.ready['resume_token']}"}
            path = f"/v1/sessions/{stream.session_id}"
            async with httpx.AsyncClient(headers=headers) as http:
                for server in servers:
                    found = await http.get(server.url + path)
                    assert found.status_code == 200
                    assert found.json()["state"] == "receiving"
                    assert (await http.delete(server.url + path)).json()["error"]["code"] == "session_not_over"
                await stream.stop()
                async for _ in stream:  # to its end: reading has taken nothing from anybody
                    pass
                assert stream.result is not None
                wavs = []
                for server in reversed(servers):
                    found = await http.get(server.url + path + ".json")
                    assert found.json()["text"] == stream.result.text
                    wavs.append((await http.get(server.url + path + ".wav")).content)
                assert len(wavs[0]) > len(SECOND)
                assert wavs[0] == wavs[1]
                assert (await http.delete(servers[1].url + path)).status_code == 204
                assert (await http.get(servers[1].url + path)).status_code == 404

    asyncio.run(run())
    wait_until(lambda: servers[1].sessions.list() == [])


def listed(server: ScriptedServer) -> list[dict[str, Any]]:
    """What a server tells its owner of all sessions."""
    found: list[dict[str, Any]] = httpx.get(server.url + "/v1/sessions", headers=server.headers).json()["sessions"]
    return found


def shown(server: ScriptedServer) -> Status:
    """What its dashboard shows."""
    return read_status("running", "", "", 0.0, server.engine, server.sessions, None, None)


def test_each_server_lists_what_runs_at_the_others(
    servers: list[ScriptedServer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = servers

    async def run() -> None:
        async with connect(first.link, find_link=lambda: second.link, **PCM) as stream, connect(second.link, **PCM):  # type: ignore[arg-type]
            for _ in range(2):
                await stream.send(SECOND)
            name = stream.session_id

            def of(server: ScriptedServer) -> dict[str, Any]:
                return next((one for one in listed(server) if one["id"] == name), {})

            await asyncio.to_thread(wait_until, lambda: of(second).get("audio_seconds") == 2.0)
            await asyncio.to_thread(wait_until, lambda: len(listed(first)) == 2)
            there = of(second)
            assert (there["state"], there["holder"], there["holder_silent"]) == ("receiving", "replica 0", False)
            here = of(first)
            assert here["holder"] is None
            assert {key: there[key] for key in ("created", "received_bytes")} == {
                key: here[key] for key in ("created", "received_bytes")
            }
            await asyncio.to_thread(
                wait_until, lambda: "one two" in [session.committed_text for session in shown(second).sessions]
            )
            status = await asyncio.to_thread(shown, second)
            assert (status.speaking, status.speaking_elsewhere) == (1, 1)
            (away,) = [session for session in status.sessions if session.holder]
            assert (away.session_id, away.holder, away.committed_text) == (name, "replica 0", "one two")
            assert main(["sessions", "list", "--data-dir", str(tmp_path / "recordings")]) == 0
            assert capsys.readouterr().out.count("  running ") == 2

            await asyncio.to_thread(first.sessions.hand_over)  # its client resumes at the second
            await asyncio.to_thread(wait_until, lambda: of(first).get("holder") == "replica 1")
            assert (of(second)["holder"], len(listed(first)), len(listed(second))) == (None, 2, 2)
            await stream.stop()
            async for _ in stream:
                pass
            await asyncio.to_thread(wait_until, lambda: of(first).get("state") == "ended")

    asyncio.run(run())
    assert len(first.sessions.list()) <= 1  # metrics count what is here


@pytest.mark.slow
def test_who_was_at_a_server_that_has_died_is_listed_with_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmic.sessions.keeper, "LOOK_SECONDS", 3600.0)  # nobody takes the session up
    other = KilledServer(tmp_path, environment={"OPENMIC_REPLICA": "the other"})
    other.start()
    try:
        speaker = Speaker(SECOND)
        speaker.begin_or_resume(other)
        speaker.speak_to(len(SECOND))
        with scripted_server(tmp_path, lease_seconds=LEASE_SECONDS) as server:
            wait_until(lambda: [one["received_bytes"] for one in listed(server)] == [len(SECOND)])
            (found,) = listed(server)
            assert (found["holder"], found["holder_silent"]) == ("the other", False)
            other.kill()
            (found,) = listed(server)
            assert (found["id"], found["state"]) == (speaker.session_id, "receiving")
            assert (found["holder"], found["holder_silent"]) == ("the other", True)
            assert "which is silent" in status_text(shown(server))
    finally:
        other.kill()


def test_a_resume_that_gets_nothing_in_time_is_closed_as_if_the_connection_had_broken(
    servers: list[ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder lives and hears nothing: its client is to try again, and old clients do so by themselves, too."""
    monkeypatch.setattr(servers[0].sessions.holder, "wanted", list)

    async def run() -> None:
        async with connect(servers[0].link, **PCM) as stream:  # type: ignore[arg-type]
            await stream.send(SECOND)
            resume = {
                "type": "resume",
                "session_id": stream.session_id,
                "resume_token": stream.ready["resume_token"],
                "after_seq": 0,
            }
            with pytest.raises(OpenmicError) as caught:
                await open_socket(parse_link(servers[1].link), resume, 60.0)
            assert caught.value.code == "ended_1012"
            closed = caught.value.__cause__
            assert isinstance(closed, ConnectionClosed)
            assert closed.rcvd is not None
            assert (closed.rcvd.code, closed.rcvd.reason) == (1012, "session_held")

    asyncio.run(run())
