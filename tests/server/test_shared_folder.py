"""Two servers on one folder, over the wire: which of them is asked makes no difference."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from openmic.client import connect, parse_link
from openmic.client.socket import open_socket
from openmic.errors import OpenmicError
from tests.support.client_audio import PCM
from tests.support.scripted_engine import ScriptedServer, scripted_server
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
