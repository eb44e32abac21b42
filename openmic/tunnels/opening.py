"""Open the tunnel that the settings ask for."""

from __future__ import annotations

import sys
from pathlib import Path

from openmic.errors import OpenmicError
from openmic.progress import ProgressCallback, silent
from openmic.settings import Settings
from openmic.tunnels.agents import end_orphans
from openmic.tunnels.authtoken import Authtoken, AuthtokenMissing, find_authtoken
from openmic.tunnels.problems import PROBLEMS
from openmic.tunnels.types import Tunnel


def look_for_authtoken(settings: Settings) -> Authtoken | None:
    """ngrok's authtoken, if the settings want a tunnel that needs one; to be called once, from the main thread.

    Colab hands its secrets over to a person's browser tab and to the main thread alone: a tunnel that is opened again
    later is given what was found here.
    """
    return find_authtoken(settings) if settings.tunnel in ("auto", "ngrok") else None


def open_tunnel(
    settings: Settings, port: int, progress: ProgressCallback = silent, authtoken: Authtoken | None = None
) -> Tunnel | None:
    """Open a public URL for a local port, as ``settings.tunnel`` says.

    Programs that an earlier run of ours left behind (its notebook kernel was killed) are ended first.

    Args:
        settings: ``tunnel``, and what belongs to it.
        port: where the server listens on 127.0.0.1.
        progress: told about downloads and waits.
        authtoken: as ``look_for_authtoken`` gave it; None: it is looked for now.

    Returns:
        The tunnel; None for ``none``, and for ``auto`` where there is no authtoken (see ``how_to_get_public_url``).

    Raises:
        OpenmicError: one of ``PROBLEMS``. The local server is not concerned and goes on.
    """
    if settings.tunnel == "none":
        return None
    folder = tunnels_folder(settings)
    if settings.tunnel == "cloudflare":
        _check_system()
        from openmic.tunnels.cloudflare import cloudflared_program, open_cloudflare

        end_orphans(folder / "running")
        return open_cloudflare(port, cloudflared_program(settings.cloudflared_path), folder / "running", progress)

    found = authtoken or find_authtoken(settings)
    if isinstance(found, AuthtokenMissing):
        if settings.tunnel == "auto" and not found.wanted:
            return None
        raise found.error()
    _check_system()
    from openmic.tunnels.ngrok import open_ngrok
    from openmic.tunnels.ngrok_program import ngrok_program

    end_orphans(folder / "running")
    program = ngrok_program(folder, progress)
    return open_ngrok(found.authtoken, port, program, folder / "running", settings.ngrok_url, progress)


def tunnels_folder(settings: Settings) -> Path:
    """Where tunnels keep a downloaded agent and, while they run, their private configuration."""
    return settings.cache_dir.expanduser().absolute() / "tunnels"


def how_to_get_public_url() -> str:
    """One line for a person whose service has only a local link."""
    return (
        "This link works on this machine only. For a public one set NGROK_AUTHTOKEN (free, from "
        "dashboard.ngrok.com/get-started/your-authtoken) and launch again; docs/tunnels.md has other ways."
    )


def _check_system() -> None:
    if sys.platform == "win32":
        failure: OpenmicError = PROBLEMS.error("unsupported_system")
        raise failure
