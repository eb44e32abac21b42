"""Which tunnel the settings lead to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import pytest
from pydantic import SecretStr
from pyngrok import conf

from openmic.errors import OpenmicError
from openmic.settings import Settings
from openmic.tunnels import how_to_get_public_url, open_tunnel
from tests.support.tunnel_fixtures import make_ngrok_agent

AUTHTOKEN = SecretStr("2openingTestAuthtoken")


@pytest.fixture(autouse=True)
def nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NGROK_AUTHTOKEN", raising=False)
    monkeypatch.setattr(conf, "DEFAULT_NGROK_CONFIG_PATH", str(tmp_path / "none.yml"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("PYNGROK_NGROK_PATH", str(make_ngrok_agent(tmp_path)))


def test_none_is_none_even_with_an_authtoken(tmp_path: Path) -> None:
    assert open_tunnel(Settings(tunnel="none", ngrok_authtoken=AUTHTOKEN, cache_dir=tmp_path / "cache"), 9) is None
    assert not (tmp_path / "cache").exists()


def test_auto_without_an_authtoken_is_none(tmp_path: Path) -> None:
    assert open_tunnel(Settings(tunnel="auto", cache_dir=tmp_path / "cache"), 9) is None
    assert not (tmp_path / "cache").exists()


def test_ngrok_without_an_authtoken_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OpenmicError) as caught:
        open_tunnel(Settings(tunnel="ngrok", cache_dir=tmp_path), 9)
    assert caught.value.code == "authtoken_missing"


@pytest.mark.parametrize("choice", ["auto", "ngrok"])
def test_an_authtoken_gives_an_ngrok_tunnel_and_progress(
    tmp_path: Path, choice: Literal["ngrok", "cloudflare", "auto"]
) -> None:
    seen: list[tuple[str, float | None]] = []
    settings = Settings(tunnel=choice, ngrok_authtoken=AUTHTOKEN, cache_dir=tmp_path)
    tunnel = open_tunnel(settings, 9, lambda what, done: seen.append((what, done)))
    assert tunnel is not None
    try:
        assert (tunnel.name, tunnel.alive()) == ("ngrok", True)
    finally:
        tunnel.close()
    assert seen == [("Connecting to ngrok", None), ("Connecting to ngrok", 1.0)]


@pytest.mark.parametrize("choice", ["ngrok", "cloudflare"])
def test_a_system_without_tunnels_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: Literal["ngrok", "cloudflare", "auto"]
) -> None:
    settings = Settings(tunnel=choice, ngrok_authtoken=AUTHTOKEN, cache_dir=tmp_path)
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(OpenmicError) as caught:
        open_tunnel(settings, 9)
    assert caught.value.code == "unsupported_system"


def test_the_line_on_public_urls_is_one_line() -> None:
    line = how_to_get_public_url()
    assert "\n" not in line
    assert "NGROK_AUTHTOKEN" in line
    assert "docs/tunnels.md" in line
