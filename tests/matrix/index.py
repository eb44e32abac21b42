"""Where packages come from here: what pip is told on this machine, told to uv."""

from __future__ import annotations

import os
import re
import subprocess
import sys

# pip's setting, and uv's variable of the same meaning.
VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
    "cert": "SSL_CERT_FILE",
}
UV = (sys.executable, "-m", "uv")
SEVERAL = {"find-links": ","}  # what stands between several values; elsewhere it is a space


def index_settings() -> dict[str, str]:
    """The variables with which uv looks where pip looks on this machine.

    Returns:
        This process' whole environment with uv's variables added.
    """
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found: dict[str, str] = {}
    for line in listed.stdout.splitlines():
        match = re.fullmatch(r"[\w.:-]+\.([\w-]+)='(.*)'", line)
        if match:
            found[match[1]] = match[2].replace("\\n", " ")
    told = {
        VARIABLES[key]: SEVERAL.get(key, " ").join(value.split()) for key, value in found.items() if key in VARIABLES
    }
    # Like pip: the best version of all indexes counts, not the first index that knows the name.
    return os.environ | told | {"UV_INDEX_STRATEGY": "unsafe-best-match"}
