"""The Colab secret that a public link needs, asked for while the person who pressed the button still watches.

Colab shows a dialog at a notebook's first question and waits ten seconds for the answer. What it gives is kept in this
process, for `openmic.launch`, which looks here before it asks; it never goes into the environment, which programs
inherit.
"""

from __future__ import annotations

import os

NAME = "NGROK_AUTHTOKEN"
ASKING = (
    f"Public link: looking for the Colab secret {NAME}; if Colab asks whether this notebook may read it, press Grant."
)
WITHOUT = {
    "SecretNotFoundError": f"Public link: there is no secret {NAME}, so nobody outside will reach this runtime. "
    "It goes on without.",
    "NotebookAccessError": f"Public link: this notebook may not read the secret {NAME}. Press the key icon on the left "
    "and switch on Notebook access beside it. It goes on without.",
    "TimeoutException": f"Public link: Colab did not answer whether there is a secret {NAME}. It is asked once more "
    "before the link is opened.",
}


class Kept:
    """A secret that does not show itself.

    Attributes:
        text: the secret; "" while there is none.
    """

    def __init__(self) -> None:
        self.text = ""


kept = Kept()


def ask() -> None:
    """In Colab, ask for the secret and say how that went; elsewhere do nothing."""
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ or os.environ.get(NAME):  # Kaggle's image is made from Colab's
        return
    try:
        from google.colab import userdata
    except ImportError:
        return
    print(ASKING, flush=True)
    try:
        kept.text = str(userdata.get(NAME) or "").strip()
    except Exception as failure:  # by name: Colab has moved these classes before
        told = WITHOUT.get(type(failure).__name__)
        if told:
            print(told, flush=True)
        return
    print(f"Public link: {'found' if kept.text else 'it is empty'}.", flush=True)
