"""Notes each top-level module that is loaded anywhere in a run, for the table of what has been run.

Python imports this by itself where this folder is on PYTHONPATH, in children too. An audit hook sees modules however
they are imported, and those of processes that are killed later.
"""

import contextlib
import os
import sys
from types import CodeType


def note_modules(path: str) -> None:
    """Append the name of each top-level module or package to a file when this process first loads something of it."""
    seen: set[str] = set()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "import":  # an import statement; the only sign of a module that is no Python
            top = str(arguments[0]).partition(".")[0]
        elif event == "exec" and isinstance(arguments[0], CodeType):  # a module's code, however it was asked for
            top = arguments[0].co_filename.rpartition("site-packages/")[2].partition("/")[0].removesuffix(".py")
        else:
            return
        if not top or top in seen:
            return
        seen.add(top)
        with contextlib.suppress(OSError):  # no descriptor is left, or the folder is gone
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(file, f"{top}\n".encode())
            os.close(file)

    sys.addaudithook(hook)


if "OPENMIC_MATRIX_IMPORTS" in os.environ:
    note_modules(os.environ["OPENMIC_MATRIX_IMPORTS"])
