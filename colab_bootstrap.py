"""Makes the runtime it stands on ready for openmic, then hands over: ``demo``, ``serve``, ``check``, ``test``.

Standard library only: it runs before anything is installed. In a shell it works in a ``.venv`` beside itself (or in
the environment that is active); in Colab and Jupyter it installs into the running interpreter, and only what is
missing. A notebook's first cell calls `setup`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
if str(ROOT) not in sys.path:  # also where Python was told not to look beside the script
    sys.path.insert(0, str(ROOT))
writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # `check` leaves nothing behind

from openmic_setup import browser, check, environment, secret, suite  # noqa: E402
from openmic_setup.layer import layer  # noqa: E402
from openmic_setup.pip import install_missing  # noqa: E402
from openmic_setup.place import device_line, gpus, python_problem, python_warning, runtime  # noqa: E402
from openmic_setup.problems import SetupError, warning_line  # noqa: E402
from openmic_setup.requirements import installed, read_requirements  # noqa: E402

sys.dont_write_bytecode = writes_bytecode

COMMANDS = {
    "demo": "stream a sample recording to a server on this machine and show live text and the final JSON",
    "serve": "run the service until Ctrl-C and show its link",
    "check": "print what is here, what is missing and what can be reached; change nothing",
    "test": "install what the tests need and run them all (--quick: the quick ones; --cluster: those with Ray, and no "
    "others); options go on to pytest",
}


def setup(public_link: str = "auto") -> None:
    """Make a notebook's runtime ready: install what is missing into it, and say in one line how it stands.

    Running it again is quick and changes nothing.

    Args:
        public_link: the setting ``tunnel``; with ``none`` Colab is not asked for the secret that others need.

    Raises:
        SetupError: this Python is not supported, something could not be installed, or the runtime must be restarted.
    """
    began = time.monotonic()
    _refuse_other_pythons()
    if public_link != "none":
        secret.ask()
    moved = install_missing(read_requirements(ROOT / "requirements.txt"))
    if moved:
        names = ", ".join(moved)
        if runtime() == "colab":
            raise SetupError("restart_needed_colab", names=names)
        raise SetupError("restart_needed", names=names)
    if runtime() == "colab" and not gpus():
        print(warning_line("no_gpu_colab"), flush=True)
    torch = installed().get("torch", "?")
    python = "{}.{}.{}".format(*sys.version_info[:3])
    seconds = time.monotonic() - began
    print(f"openmic {version()} · Python {python} · torch {torch} · {device_line()} · ready in {seconds:.0f} s")


def version() -> str:
    """openmic's version, as pyproject.toml has it."""
    match = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else "?"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; see the module's first lines.

    Returns:
        The exit status: 2 for a wrong command line or a problem that has been explained, else the command's own.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="colab_bootstrap.py", description="Make this machine ready for openmic.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    for name, does in COMMANDS.items():
        commands.add_parser(name, help=does, add_help=False)
    command, rest = parser.parse_known_args(arguments)
    try:
        status = _run(command.command, rest, arguments)
        sys.stdout.flush()
        return status
    except SetupError as problem:
        print("\n" + "\n".join(problem.parts), file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; run it again to go on.", file=sys.stderr)
        return 130


def _run(command: str, rest: list[str], arguments: list[str]) -> int:
    in_shell = runtime() == "shell"
    if command == "check":
        if in_shell and environment.is_whole():
            environment.rerun(arguments)
        return check.report()
    _refuse_other_pythons()
    if in_shell:
        environment.enter(arguments)
    tests = [ROOT / "requirements-test.txt"] if command == "test" else []
    install_missing(read_requirements(ROOT / "requirements.txt", *tests))
    in_cluster = command == "test" and suite.CLUSTER in rest
    cluster_python = layer("cluster", ROOT / "requirements-cluster.txt") if in_cluster else None
    environment.finish()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    if command != "test":
        _hand_over(command, rest)
    if suite.QUICK not in rest and not in_cluster:
        browser.put_on_path(browser.ensure())
    return subprocess.run(suite.command(rest, cluster_python), cwd=ROOT).returncode


def _hand_over(command: str, rest: list[str]) -> NoReturn:
    sys.stdout.flush()
    # -P: our openmic from PYTHONPATH, whatever lies in the folder that this was started from.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "openmic", command, *rest])


def _refuse_other_pythons() -> None:
    version = (sys.version_info[0], sys.version_info[1])
    problem = python_problem(version)
    if problem:
        raise problem
    warning = python_warning(version)
    if warning:
        print(warning, flush=True)


if __name__ == "__main__":
    sys.exit(main())
