"""The agent program: found, checked, or fetched from a real HTTP server that misbehaves as networks do."""

from __future__ import annotations

import http.server
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pyngrok import conf, installer

from openmic.errors import OpenmicError
from openmic.tunnels.ngrok_program import ATTEMPTS, check_way, ngrok_program
from tests.support.tunnel_fixtures import http_server, make_ngrok_agent

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def send(data: bytes, claim: int | None = None) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(claim or len(data)))
        request.end_headers()
        request.wfile.write(data)

    return answer


def refuse(status: int) -> Answer:
    return lambda request: request.send_error(status)


class Source:
    """A server that answers the n-th request in the n-th way, and the last way from then on."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests = 0

    def next(self) -> Answer:
        self.requests += 1
        return self.answers[min(self.requests, len(self.answers)) - 1]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    """In place of ngrok's download address; and no agent anywhere on this machine."""
    source = Source()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            source.next()(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    monkeypatch.delenv("PYNGROK_NGROK_PATH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(conf, "DEFAULT_NGROK_PATH", str(tmp_path / "pyngroks" / "ngrok"))
    with http_server(Handler) as port:
        platform = f"{installer.get_system()}_{installer.get_arch()}"
        monkeypatch.setitem(installer.PLATFORMS, platform, f"http://127.0.0.1:{port}/ngrok.tgz")
        yield source


def tgz(tmp_path: Path, name: str = "ngrok") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(make_ngrok_agent(tmp_path), name)
    return packed.getvalue()


def fetch(folder: Path, seen: list[tuple[str, float | None]] | None = None) -> Path:
    return ngrok_program(folder, lambda what, done: seen.append((what, done)) if seen is not None else None, 0.01)


def test_it_is_fetched_once_with_progress(source: Source, tmp_path: Path) -> None:
    source.answers = [send(tgz(tmp_path))]
    seen: list[tuple[str, float | None]] = []
    folder = tmp_path / "tunnels"
    assert fetch(folder, seen) == folder / "ngrok"
    assert seen[0] == ("Downloading the ngrok agent", None)
    assert seen[-1] == ("Downloading the ngrok agent", 1.0)
    assert fetch(folder) == folder / "ngrok"
    assert source.requests == 1
    assert [path.name for path in folder.iterdir()] == ["ngrok"]
    assert (folder / "ngrok").stat().st_mode & 0o777 == 0o700


def test_a_zip_is_unpacked_too(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.write(make_ngrok_agent(tmp_path), "ngrok")
    source.answers = [send(packed.getvalue())]
    platform = f"{installer.get_system()}_{installer.get_arch()}"
    monkeypatch.setitem(installer.PLATFORMS, platform, installer.PLATFORMS[platform].replace(".tgz", ".zip"))
    assert fetch(tmp_path / "tunnels").exists()


def test_it_is_tried_again_after_refusals_and_breaks(source: Source, tmp_path: Path) -> None:
    archive = tgz(tmp_path)
    source.answers = [refuse(503), send(archive[: len(archive) // 2], len(archive)), send(archive)]
    assert fetch(tmp_path / "tunnels").exists()
    assert source.requests == 3


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (refuse(404), "HTTP 404"),
        (send(b"x" * 100, 1000), "no connection, or it broke off"),
        (send(b"<html>a portal's sign-in page</html>"), "what arrived is not the agent's archive"),
        (send(b"\x1f\x8b\x08\x00" + b"\x00" * 60), "what arrived is not the agent's archive"),
    ],
)
def test_it_gives_up_in_plain_words_and_leaves_nothing(
    source: Source, tmp_path: Path, answer: Answer, detail: str
) -> None:
    source.answers = [answer]
    with pytest.raises(OpenmicError) as caught:
        fetch(tmp_path / "tunnels")
    assert caught.value.code == "agent_not_downloaded"
    assert detail in str(caught.value)
    assert "127.0.0.1" in caught.value.why
    assert source.requests == ATTEMPTS
    assert list((tmp_path / "tunnels").iterdir()) == []


def test_an_archive_without_the_agent(source: Source, tmp_path: Path) -> None:
    source.answers = [send(tgz(tmp_path, "README"))]
    with pytest.raises(OpenmicError) as caught:
        fetch(tmp_path / "tunnels")
    assert caught.value.code == "agent_not_downloaded"


def test_a_folder_that_cannot_be_written(source: Source, tmp_path: Path) -> None:
    source.answers = [send(tgz(tmp_path))]
    (tmp_path / "file").write_text("")
    with pytest.raises(OpenmicError) as caught:
        fetch(tmp_path / "file")
    assert caught.value.code == "folder_not_writable"


def test_pyngroks_and_the_search_paths_agent_are_used(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = make_ngrok_agent(tmp_path / "system")
    monkeypatch.setenv("PATH", f"{on_path.parent}:/usr/bin:/bin")
    assert fetch(tmp_path / "tunnels") == on_path
    pyngroks = make_ngrok_agent(tmp_path / "pyngrok")
    monkeypatch.setattr(conf, "DEFAULT_NGROK_PATH", str(pyngroks))
    assert fetch(tmp_path / "tunnels") == pyngroks
    assert source.requests == 0


def test_an_unfit_agent_on_the_search_path_is_passed_over(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_ngrok_agent(tmp_path / "system")
    other.write_text("#!/bin/sh\necho ngrok version 2.3.41\n")
    monkeypatch.setenv("PATH", f"{other.parent}:/usr/bin:/bin")
    source.answers = [send(tgz(tmp_path))]
    assert fetch(tmp_path / "tunnels") == tmp_path / "tunnels" / "ngrok"


@pytest.mark.parametrize(
    ("content", "mode", "code"),
    [
        (None, 0, "agent_not_found"),
        ("#!/bin/sh\necho ngrok version 3.1\n", 0o644, "agent_not_executable"),
        ("\x7fELF but not really", 0o755, "agent_not_executable"),
        ("#!/bin/sh\necho something else\n", 0o755, "agent_other_program"),
        ("#!/bin/sh\necho ngrok version unknown\n", 0o755, "agent_other_program"),
        ("#!/bin/sh\necho ngrok version 2.3.41\n", 0o755, "agent_too_old"),
    ],
)
def test_an_agent_named_by_a_person_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, mode: int, code: str
) -> None:
    program = tmp_path / "my-ngrok"
    if content is not None:
        program.write_text(content)
        program.chmod(mode)
    monkeypatch.setenv("PYNGROK_NGROK_PATH", str(program))
    with pytest.raises(OpenmicError) as caught:
        fetch(tmp_path)
    assert caught.value.code == code
    assert str(program) in str(caught.value)
    assert caught.value.__context__ is None


def test_an_encrypted_download_leads_nowhere_else() -> None:
    check_way(["https", "https"])
    check_way(["http"])
    with pytest.raises(httpx.UnsupportedProtocol):
        check_way(["https", "http"])
    with pytest.raises(httpx.UnsupportedProtocol):
        check_way(["https", "http", "https"])
