"""Programs that stand in for the tunnels' own, for every test that needs a public URL.

``make_ngrok_agent(tmp_path)`` gives an executable; let openmic find it::

    monkeypatch.setenv("PYNGROK_NGROK_PATH", str(make_ngrok_agent(tmp_path)))
    settings = Settings(tunnel="ngrok", ngrok_authtoken="2standInAuthtoken", cache_dir=tmp_path)

Its public URL is a loopback port that it really forwards. How to make it fail stands at the top of
``ngrok_stand_in.py``.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
COLAB = TESTS / "colab_stand_in"


def make_ngrok_agent(tmp_path: Path) -> Path:
    """An executable that behaves as ngrok's agent."""
    return _make(tmp_path / "ngrok-program" / "ngrok", TESTS / "ngrok_stand_in.py")


def make_cloudflared(tmp_path: Path) -> Path:
    """An executable that behaves as Cloudflare's ``cloudflared``."""
    return _make(tmp_path / "cloudflared-program" / "cloudflared", TESTS / "cloudflared_stand_in.py")


def _make(program: Path, script: Path) -> Path:
    program.parent.mkdir(parents=True, exist_ok=True)
    command = f"exec {shlex.quote(sys.executable)} -S {shlex.quote(str(script))}"
    program.write_text(f'#!/bin/sh\n{command} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program
