"""A service whose public link changes under a running stream: the client goes on where it is now."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from openmic.client import connect
from openmic.client.result import Message
from openmic.server.problems import PROBLEMS
from tests.support.client_audio import PCM, SECOND
from tests.support.cutting_proxy import CuttingProxy
from tests.support.scripted_engine import scripted_server


@pytest.mark.parametrize("way", ["told", "found", "found with a token"])
def test_a_stream_goes_on_at_the_new_link(tmp_path: Path, way: str) -> None:
    with scripted_server(tmp_path) as server:
        old, new = CuttingProxy(server.thread.port, []), CuttingProxy(server.thread.port, [])
        address = f"http://127.0.0.1:{new.port}"
        asked: list[str] = []

        def find_link() -> str | None:
            asked.append(way)
            if way == "told" or len(asked) == 1:
                return None
            return address + ("/#token=secret" if way == "found with a token" else "")

        async def run() -> list[Message]:
            hook = {} if way == "told" else {"find_link": find_link}
            messages: list[Message] = []
            async with connect(f"http://127.0.0.1:{old.port}/#token=secret", **PCM, **hook) as stream:  # type: ignore[arg-type]
                await stream.send(SECOND)
                async for message in stream:
                    messages.append(message)
                    if message["type"] == "commit" and message["seq"] == 1:
                        if way == "told":
                            server.thread.warn(PROBLEMS.error("public_url_changed", url=address), address)
                        else:
                            break_old()
                    elif message["type"] == "warning":
                        break_old()
                    elif message["type"] == "connection" and message["state"] == "resumed":
                        await stream.send(SECOND)
                        await stream.stop()
            return messages

        def break_old() -> None:
            old.refuse = True
            old.cut()

        told = asyncio.run(asyncio.wait_for(run(), 60))
        old.close()
        new.close()
    assert new.connections == 1
    assert [message["seq"] for message in told if message["type"] in ("commit", "final", "done")] == [1, 2, 3, 4]
    final = next(message for message in told if message["type"] == "final")
    assert final["duration"] == 2.0
    assert len(asked) == (0 if way == "told" else 2)
