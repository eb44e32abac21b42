"""Colab's secrets. COLAB_STAND_IN_SECRET says how they are.

``value:TEXT`` · ``absent`` · ``refused`` · ``timeout`` · ``no_kernel`` (asked from a shell command, not a notebook)
"""

import os

from google.colab import errors


class SecretNotFoundError(errors.Error):
    """The secret does not exist."""


class NotebookAccessError(Exception):  # as Colab's own: no `errors.Error`
    """The secret exists, but not for this notebook."""


class TimeoutException(errors.Error):
    """The front end did not answer."""


def get(key: str) -> str:
    """The secret ``key``."""
    state = os.environ.get("COLAB_STAND_IN_SECRET", "absent")
    if state == "refused":
        raise NotebookAccessError(f"Notebook does not have access to secret {key}")
    if state == "timeout":
        raise TimeoutException(
            f"Requesting secret {key} timed out. Secrets can only be fetched when running from the Colab UI."
        )
    if state == "no_kernel":
        raise AttributeError("'NoneType' object has no attribute 'kernel'")
    if state.startswith("value:") and key == "NGROK_AUTHTOKEN":
        return state.removeprefix("value:")
    raise SecretNotFoundError(f"Secret {key} does not exist.")
