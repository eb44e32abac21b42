"""What is secret among this process's variables, and a copy of them without it for programs that need none."""

from __future__ import annotations

import os

SECRET_VARIABLES = ("OPENMIC_TOKEN", "OPENMIC_OWNER_TOKEN", "OPENMIC_CLIENT_TOKEN", "OPENMIC_LINK", "NGROK_AUTHTOKEN")


def environment_without_secrets() -> dict[str, str]:
    """This process's environment for a child: other programs of this user could read it there."""
    return {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}
