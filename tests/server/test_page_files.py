from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from openmic.server.api.page import PAGE_DIR, VERSION_DIGITS, page_headers, page_version
from tests.support.scripted_engine import ScriptedServer, scripted_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("page")) as running:
        yield running


def test_the_page_and_all_its_files_are_served_without_a_token(server: ScriptedServer) -> None:
    page = httpx.get(server.url + "/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "no-store" in page.headers["cache-control"]
    assert page.content == httpx.get(server.url + "/index.html").content
    for path in PAGE_DIR.iterdir():
        if path.is_file() and path.name != "index.html":
            response = httpx.get(f"{server.url}/{path.name}")
            assert (response.status_code, response.content) == (200, path.read_bytes())
            assert response.headers["cache-control"] == "no-store"
            assert response.headers["x-content-type-options"] == "nosniff"
            if path.suffix == ".js":
                assert response.headers["content-type"].startswith("text/javascript")


def test_a_second_visit_asks_for_the_page_alone(server: ScriptedServer, tmp_path: Path) -> None:
    page = httpx.get(server.url + "/").text
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(named) == 6
    for name in named:
        kept = httpx.get(f"{server.url}/{name}")
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert kept.headers["content-security-policy"].startswith("default-src 'none'")
        assert kept.content == (PAGE_DIR / name.partition("/")[2]).read_bytes()
    other = httpx.get(f"{server.url}/{'0' * VERSION_DIGITS}/app.js")
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-store")
    for path in ("/short/app.js", f"/{page_version()}/app.py", f"/{page_version()}/..%2fapp.py"):
        assert httpx.get(server.url + path).status_code == 404


def test_the_page_is_kept_to_its_own_origin(server: ScriptedServer) -> None:
    headers = httpx.get(server.url + "/").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    host = server.url.removeprefix("http://")
    assert policy["connect-src"] == f"'self' ws://{host} wss://{host}"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["permissions-policy"].startswith("microphone=(self)")
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("host", ["evil; script-src *", "a b", "", "x\r\nSet-Cookie: y"])
def test_a_host_header_cannot_change_the_policy(host: str) -> None:
    assert page_headers(host)["Content-Security-Policy"] == page_headers("")["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/app.py", "/..%2fapp.py", "/%2e%2e%2fapp.py", "/page/index.html", "/__pycache__"])
def test_nothing_else_is_served(server: ScriptedServer, path: str) -> None:
    response = httpx.get(server.url + path)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
