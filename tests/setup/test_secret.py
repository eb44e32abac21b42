"""Colab's secret is asked for first, once, and never goes where programs could read it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from openmic_setup import secret
from tests.support.tunnel_fixtures import COLAB

ROOT = Path(__file__).resolve().parents[2]
TEXT = "2abcDEFghiJKLmnoPQRstuVWXyz_7NonSecretForTests"
LAUNCH = """
import os, sys
from openmic_setup import secret
from openmic.settings import Settings
from openmic.tunnels import find_authtoken
secret.ask()
os.environ["COLAB_STAND_IN_SECRET"] = "timeout"  # from now on the tab is asleep
found = find_authtoken(Settings())
print(type(found).__name__, getattr(found, "source", ""))
print("shown" if "TEXT" in repr(secret.kept) + str(os.environ) else "hidden")
"""


def ask(state: str, code: str = "from openmic_setup import secret; secret.ask()", **environment: str) -> str:
    env = {name: value for name, value in os.environ.items() if name not in (secret.NAME, "KAGGLE_KERNEL_RUN_TYPE")}
    env |= {"PYTHONPATH": f"{COLAB}{os.pathsep}{ROOT}", "COLAB_STAND_IN_SECRET": state, **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    assert TEXT not in done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (f"value:{TEXT}", "Public link: found."),
        ("value:", "Public link: it is empty."),
        ("absent", "there is no secret NGROK_AUTHTOKEN"),
        ("refused", "switch on Notebook access"),
        ("timeout", "asked once more"),
    ],
)
def test_each_answer_is_told(state: str, told: str) -> None:
    asking, answer = ask(state).splitlines()
    assert asking == secret.ASKING
    assert told in answer


def test_nobody_is_asked_where_nobody_answers() -> None:
    assert ask(f"value:{TEXT}", KAGGLE_KERNEL_RUN_TYPE="Interactive") == ""
    assert ask(f"value:{TEXT}", NGROK_AUTHTOKEN="given") == ""
    assert ask(f"value:{TEXT}", PYTHONPATH=str(ROOT)) == ""


@pytest.mark.slow
def test_what_was_given_is_used_later_and_hidden() -> None:
    code = LAUNCH.replace("TEXT", TEXT)
    assert ask(f"value:{TEXT}", code).splitlines()[-2:] == [
        "AuthtokenFound the Colab secret NGROK_AUTHTOKEN",
        "hidden",
    ]
    assert ask("absent", code).splitlines()[-2:] == ["AuthtokenMissing ", "hidden"]
