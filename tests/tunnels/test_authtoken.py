"""Where the authtoken is looked for, Colab's secrets included (its package is a stand-in)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from pyngrok import conf

from openmic.errors import OpenmicError
from openmic.settings import Settings
from openmic.tunnels import AuthtokenFound, AuthtokenMissing, find_authtoken, open_tunnel
from openmic.tunnels import authtoken as module
from tests.support.tunnel_fixtures import COLAB

TEXT = "2someAuthtoken_abcdefghijklmnop"


@pytest.fixture(autouse=True)
def nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No authtoken from the machine that runs the tests."""
    monkeypatch.delenv("NGROK_AUTHTOKEN", raising=False)
    monkeypatch.setattr(conf, "DEFAULT_NGROK_CONFIG_PATH", str(tmp_path / "config" / "ngrok.yml"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")


@pytest.fixture
def colab(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """``google.colab`` can be imported, as in Colab."""
    monkeypatch.syspath_prepend(COLAB)
    before = {name: loaded for name, loaded in sys.modules.items() if name.split(".")[0] == "google"}
    for name in before:
        monkeypatch.delitem(sys.modules, name)
    importlib.invalidate_caches()
    yield monkeypatch
    for name in [name for name in sys.modules if name.split(".")[0] == "google"]:
        del sys.modules[name]
    sys.modules.update(before)


def found(result: AuthtokenFound | AuthtokenMissing) -> tuple[str, str]:
    assert isinstance(result, AuthtokenFound)
    assert TEXT not in repr(result)
    return result.authtoken.get_secret_value(), result.source


def test_the_settings_come_first(colab: pytest.MonkeyPatch) -> None:
    colab.setenv("COLAB_STAND_IN_SECRET", "value:2another")
    assert found(find_authtoken(Settings(ngrok_authtoken=SecretStr(TEXT)))) == (TEXT, "the settings")


def test_the_environment_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    monkeypatch.setenv("NGROK_AUTHTOKEN", TEXT)
    assert found(find_authtoken(settings)) == (TEXT, "the environment variable NGROK_AUTHTOKEN")


@pytest.mark.parametrize("pasted", [f" {TEXT}\n", f"ngrok config add-authtoken {TEXT}", f'"{TEXT}"'])
def test_what_people_paste_is_taken_as_meant(pasted: str) -> None:
    assert found(find_authtoken(Settings(ngrok_authtoken=SecretStr(pasted))))[0] == TEXT


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_an_empty_one_is_none(empty: str) -> None:
    assert find_authtoken(Settings(ngrok_authtoken=SecretStr(empty))) == AuthtokenMissing("authtoken_missing", False)


def test_a_colab_secret(colab: pytest.MonkeyPatch) -> None:
    colab.setenv("COLAB_STAND_IN_SECRET", f"value:{TEXT}")
    assert found(find_authtoken(Settings())) == (TEXT, "the Colab secret NGROK_AUTHTOKEN")


@pytest.mark.parametrize(
    ("state", "problem", "wanted"),
    [
        ("absent", "colab_secret_missing", False),
        ("value:", "colab_secret_missing", False),
        ("refused", "colab_secret_refused", True),
        ("timeout", "colab_secret_timeout", False),
        ("no_kernel", "authtoken_missing", False),
    ],
)
def test_each_way_a_colab_secret_is_not_there(
    colab: pytest.MonkeyPatch, tmp_path: Path, state: str, problem: str, wanted: bool
) -> None:
    colab.setenv("COLAB_STAND_IN_SECRET", state)
    assert find_authtoken(Settings()) == AuthtokenMissing(problem, wanted)

    with pytest.raises(OpenmicError) as caught:
        open_tunnel(Settings(tunnel="ngrok", cache_dir=tmp_path), 1)
    assert caught.value.code == problem
    assert caught.value.__context__ is None

    auto = Settings(tunnel="auto", cache_dir=tmp_path)
    if wanted:  # somebody put it there: going on without a word would leave them wondering
        with pytest.raises(OpenmicError, match="NGROK_AUTHTOKEN"):
            open_tunnel(auto, 1)
    else:
        assert open_tunnel(auto, 1) is None


@pytest.mark.parametrize(
    "config", [f'version: "3"\nagent:\n  authtoken: {TEXT}\n', f'version: "2"\nauthtoken: {TEXT}\n']
)
@pytest.mark.parametrize("place", ["config/ngrok.yml", "home/.ngrok2/ngrok.yml"])
def test_ngroks_own_configuration(tmp_path: Path, place: str, config: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(config)
    assert found(find_authtoken(Settings())) == (TEXT, f"ngrok's configuration {path}")
    assert path in module.ngrok_config_paths()


@pytest.mark.parametrize("config", ["", "- a list\n", "authtoken: [1]\n", "agent: text\n", "{not yaml", "\x00\xff"])
def test_a_broken_configuration_stops_nobody(tmp_path: Path, config: str) -> None:
    path = tmp_path / "config" / "ngrok.yml"
    path.parent.mkdir()
    path.write_bytes(config.encode("latin-1"))
    assert find_authtoken(Settings()) == AuthtokenMissing("authtoken_missing", False)


def test_a_secret_is_never_in_an_error(colab: pytest.MonkeyPatch) -> None:
    assert "NGROK_AUTHTOKEN" in AuthtokenMissing("colab_secret_refused", True).error().hint
