"""One stream of the reference client, also through a connection that is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openmic.client import connect, stream_file
from openmic.errors import OpenmicError
from openmic.sessions.recovery import session_folders
from openmic.sessions.storage.names import recording_path
from openmic.sessions.storage.recording import DiskRecording
from tests.support.client_audio import PCM, SECOND
from tests.support.cutting_proxy import CuttingProxy
from tests.support.scripted_engine import ScriptedServer, scripted_server

TOKEN = "a-token-for-tests"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path, token=TOKEN) as running:
        yield running


@pytest.fixture
def proxy_to(service: ScriptedServer) -> Iterator[object]:
    made: list[CuttingProxy] = []

    def make(*cut_after: int) -> CuttingProxy:
        made.append(CuttingProxy(service.thread.port, list(cut_after)))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


def test_send_flush_ping_and_stop(service: ScriptedServer) -> None:
    async def run() -> list[dict[str, object]]:
        async with connect(service.link, **PCM) as stream:  # type: ignore[arg-type]
            assert stream.session_id
            await stream.send(SECOND)
            await stream.send(bytearray(SECOND[:16_000]))
            await stream.flush()
            await stream.ping()
            messages = []
            async for message in stream:
                messages.append(message)
                if message["type"] == "commit" and message["end"] == 1.5:
                    await stream.stop()
                    await stream.stop()
                    with pytest.raises(OpenmicError, match="takes no more audio"):
                        await stream.send(SECOND)
            assert stream.result is not None
            assert stream.confirmed_bytes == 48_000
            return messages

    kinds = [message["type"] for message in asyncio.run(run())]
    assert kinds[0] == "ready"
    assert kinds[-2:] == ["final", "done"]
    assert "error" not in kinds


@pytest.mark.parametrize("cuts", [(40_000,), (40_000, 60_000, 30_000)])
def test_a_cut_connection_is_resumed_and_nothing_is_lost(
    service: ScriptedServer, proxy_to: object, tmp_path: Path, cuts: tuple[int, ...]
) -> None:
    proxy = proxy_to(*cuts)  # type: ignore[operator]
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(b"".join(bytes([n + 1, n + 1]) * 16_000 for n in range(10)))
    seen: list[dict[str, Any]] = []
    link = f"http://127.0.0.1:{proxy.port}/#token={TOKEN}"
    result = stream_file(link, raw, realtime=False, on_message=seen.append, **PCM)  # type: ignore[arg-type]
    assert result.duration == 10.0
    assert proxy.connections == len(cuts) + 1
    states = [message["state"] for message in seen if message["type"] == "connection"]
    assert states == ["lost", "resumed"] * len(cuts)
    commits = [message["seq"] for message in seen if message["type"] == "commit"]
    assert commits == sorted(set(commits))
    (folder,) = session_folders(tmp_path / "recordings")
    recording = DiskRecording.stored(recording_path(folder))
    assert recording.read_pcm(0, len(recording)) == raw.read_bytes()


def test_a_connection_cut_after_the_stop_still_brings_the_final(service: ScriptedServer, proxy_to: object) -> None:
    proxy = proxy_to()  # type: ignore[operator]
    service.engine.may_finish.clear()

    async def run() -> list[str]:
        async with connect(f"http://127.0.0.1:{proxy.port}", TOKEN, **PCM) as stream:  # type: ignore[arg-type]
            await stream.send(SECOND)
            await stream.stop()
            kinds = []
            async for message in stream:
                kinds.append(message["type"])
                if message["type"] == "commit":
                    proxy.cut()
                if message.get("state") == "resumed":
                    service.engine.may_finish.set()
            return kinds

    kinds = asyncio.run(run())
    assert kinds.count("commit") == 1
    assert kinds[-2:] == ["final", "done"]
    assert "error" not in kinds


def test_a_connection_that_stays_away_is_given_up(service: ScriptedServer, proxy_to: object) -> None:
    proxy = proxy_to()  # type: ignore[operator]

    async def run() -> None:
        waits = {"reconnect_seconds": 1.0}
        async with connect(f"http://127.0.0.1:{proxy.port}", TOKEN, **waits, **PCM) as stream:  # type: ignore[arg-type]
            await stream.send(SECOND)
            proxy.refuse = True
            proxy.cut()
            async for _ in stream:
                pass

    with pytest.raises(OpenmicError) as caught:
        asyncio.run(run())
    assert caught.value.code == "connection_lost"


def test_a_session_that_is_gone_cannot_be_resumed(tmp_path: Path, proxy_to: object, service: ScriptedServer) -> None:
    proxy = proxy_to()  # type: ignore[operator]

    async def run() -> None:
        async with connect(f"http://127.0.0.1:{proxy.port}", TOKEN, **PCM) as stream:  # type: ignore[arg-type]
            await stream.send(SECOND)
            stream.ready["resume_token"] = "another"
            proxy.cut()
            async for _ in stream:
                pass

    with pytest.raises(OpenmicError) as caught:
        asyncio.run(run())
    assert caught.value.code == "unknown_session"
