"""Where the ngrok authtoken comes from."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pyngrok import conf, installer

from openmic.errors import OpenmicError
from openmic.settings import Settings
from openmic.tunnels.problems import PROBLEMS
from openmic.tunnels.redaction import hide

NAME = "NGROK_AUTHTOKEN"  # of the environment variable and of the Colab secret


@dataclass(frozen=True, slots=True)
class AuthtokenFound:
    """An authtoken, and where it was.

    Attributes:
        authtoken: the secret itself.
        source: for a person, as in "the Colab secret NGROK_AUTHTOKEN".
    """

    authtoken: SecretStr
    source: str


@dataclass(frozen=True, slots=True)
class AuthtokenMissing:
    """No authtoken, and what to tell the person.

    Attributes:
        problem: a code of ``PROBLEMS``.
        wanted: True where somebody did put an authtoken in place but it cannot be read, so that going on
            silently without a tunnel would be wrong.
    """

    problem: str
    wanted: bool

    def error(self) -> OpenmicError:
        """The problem as an error."""
        return PROBLEMS.error(self.problem)


Authtoken = AuthtokenFound | AuthtokenMissing


def find_authtoken(settings: Settings) -> Authtoken:
    """Look for ngrok's authtoken: settings, environment, Colab's secrets, ngrok's own configuration file.

    Whatever is found is hidden from logs and messages from then on.
    """
    if settings.ngrok_authtoken is not None and (found := _found(settings.ngrok_authtoken, "the settings")):
        return found
    if found := _found(SecretStr(os.environ.get(NAME, "")), f"the environment variable {NAME}"):
        return found
    in_colab = _colab_secret()
    if isinstance(in_colab, AuthtokenFound):
        return in_colab
    if found := _in_ngrok_config():
        return found
    return in_colab or AuthtokenMissing("authtoken_missing", wanted=False)


def _found(text: SecretStr, source: str) -> AuthtokenFound | None:
    """``text`` as an authtoken; people also paste the whole command that ngrok's page shows, which ends in it."""
    words = text.get_secret_value().split()
    if not words:
        return None
    authtoken = SecretStr(words[-1].strip("\"'"))
    hide(authtoken)
    return AuthtokenFound(authtoken, source)


def _colab_secret() -> AuthtokenFound | AuthtokenMissing | None:
    """Colab's answer; None outside of Colab, and in Colab where there is no notebook to ask (a shell command)."""
    asked = sys.modules.get("openmic_setup.secret")  # the notebook's set-up asks before anything slow
    if asked is not None and (found := _found(SecretStr(asked.kept.text), f"the Colab secret {NAME}")):
        return found
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:  # its image is made from Colab's, and nobody answers there
        return None
    try:
        from google.colab import userdata
    except ImportError:
        return None
    try:
        secret = SecretStr(userdata.get(NAME) or "")
    except Exception as error:
        # By name: Colab has moved these classes before, and older ones lack TimeoutException.
        problem = {
            "SecretNotFoundError": AuthtokenMissing("colab_secret_missing", wanted=False),
            "NotebookAccessError": AuthtokenMissing("colab_secret_refused", wanted=True),
            "TimeoutException": AuthtokenMissing("colab_secret_timeout", wanted=False),
        }
        return problem.get(type(error).__name__)
    return _found(secret, f"the Colab secret {NAME}") or AuthtokenMissing("colab_secret_missing", wanted=False)


def ngrok_config_paths() -> Iterator[Path]:
    """Where ngrok's agent and pyngrok keep their configuration, the newer place first."""
    yield Path(conf.DEFAULT_NGROK_CONFIG_PATH)
    yield Path.home() / ".ngrok2" / "ngrok.yml"


def _in_ngrok_config() -> AuthtokenFound | None:
    for path in ngrok_config_paths():
        try:
            config: Any = installer.get_ngrok_config(str(path), use_cache=False)
        except Exception:  # not there, unreadable, not YAML: somebody else's file, and no reason to stop
            continue
        if not isinstance(config, dict):
            continue
        agent = config.get("agent")  # version 3; in version 2 the authtoken stands at the top
        for part in (agent, config):
            text = part.get("authtoken") if isinstance(part, dict) else None
            if isinstance(text, str) and (found := _found(SecretStr(text), f"ngrok's configuration {path}")):
                return found
    return None
