"""A Chromium is found or installed: stand-in programs on an otherwise empty PATH, in a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("sh", "env", "cp", "cat", "chmod")  # what the stand-ins themselves are made of
WORKING = "#!/bin/sh\necho Chromium 1.2.3\n"
BROKEN = "#!/bin/sh\necho 'this is only a stub' >&2\nexit 1\n"
ENSURE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from openmic_setup import browser
from openmic_setup.problems import SetupError
if sys.argv[2] != "root":
    os.geteuid = lambda: 1000
try:
    print("found", browser.ensure())
except SetupError as error:
    print("refused", error.code)
"""
PLAYWRIGHT = """
import pathlib, sys
log = pathlib.Path({log!r})
log.write_text(log.read_text() + "playwright " + " ".join(sys.argv[1:]) + "\\n")
{what}
"""


class Machine:
    """A PATH with only what a test puts there, and a playwright that is not the real one."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.modules = folder / "modules"
        self.chromium = self.programs / "chromium"
        self.later = folder / "later"  # what an installer installs
        self.later.write_text(WORKING)
        self.later.chmod(0o755)
        self._log = folder / "log"
        self._log.touch()
        for name in NEEDED:
            (self.programs / name).symlink_to(str(shutil.which(name)))
        self.playwright("sys.exit('no download here')")

    def program(self, name: str, script: str) -> None:
        """Put a program on the PATH; each call of it is noted."""
        file = self.programs / name
        file.write_text(script.replace("#!/bin/sh\n", f'#!/bin/sh\necho "{name} $*" >>{self._log}\n'))
        file.chmod(0o755)

    def apt_get(self, install: str) -> None:
        self.program("apt-get", f'#!/bin/sh\necho "Get:1 chromium"\ncase "$1" in install) {install};; esac\n')

    def playwright(self, what: str, path: str = "/nowhere/chrome") -> None:
        """A ``playwright`` whose command does ``what`` and whose Chromium would be at ``path``."""
        package = self.modules / "playwright"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(PLAYWRIGHT.format(log=str(self._log), what=what))
        (package / "sync_api.py").write_text(
            "import contextlib, types\n"
            "@contextlib.contextmanager\ndef sync_playwright():\n"
            f"    yield types.SimpleNamespace(chromium=types.SimpleNamespace(executable_path={path!r}))\n"
        )

    def ensure(self, user: str = "root") -> str:
        """What ``browser.ensure()`` says here."""
        done = subprocess.run(
            [sys.executable, "-c", ENSURE, str(ROOT), user],
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": str(self.programs), "PYTHONPATH": str(self.modules)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def calls(self) -> list[str]:
        """What was run, in order."""
        return self._log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_one_that_is_here_is_taken_and_nothing_installed(machine: Machine) -> None:
    machine.program("google-chrome", WORKING)
    machine.apt_get("exit 1")
    assert machine.ensure() == f"found {machine.programs / 'google-chrome'}\n"
    assert machine.calls == ["google-chrome --version"]


def test_root_installs_with_apt_get(machine: Machine) -> None:
    machine.apt_get(f"cp {machine.later} {machine.chromium}")
    said = machine.ensure()
    assert said.splitlines()[-1] == f"found {machine.chromium}"
    assert "Installing Chromium with apt-get: done" in said
    assert machine.calls == ["apt-get update", "apt-get install -y --no-install-recommends chromium"]


def test_a_stub_that_does_not_start_counts_as_none(machine: Machine) -> None:
    machine.program("chromium-browser", BROKEN)
    machine.apt_get(f"cp {machine.later} {machine.chromium}")
    assert machine.ensure().splitlines()[-1] == f"found {machine.chromium}"


def test_others_install_through_sudo_that_asks_nothing(machine: Machine) -> None:
    machine.apt_get(f"cp {machine.later} {machine.chromium}")
    machine.program("sudo", '#!/bin/sh\n[ "$1" = -n ] && shift && exec "$@"\n')
    assert machine.ensure("somebody").splitlines()[-1] == f"found {machine.chromium}"
    assert machine.calls[0] == "sudo -n env DEBIAN_FRONTEND=noninteractive apt-get update"
    assert machine.calls[-1] == "apt-get install -y --no-install-recommends chromium"


def test_without_leave_to_install_playwright_brings_one(machine: Machine, tmp_path: Path) -> None:
    machine.apt_get("exit 0")
    machine.program("sudo", "#!/bin/sh\necho sudo: a password is required\nexit 1\n")
    chrome = tmp_path / "chrome-of-playwright"
    install = f"import shutil; shutil.copy({str(machine.later)!r}, {str(chrome)!r})"
    machine.playwright(install, str(chrome))
    said = machine.ensure("somebody")
    assert said.splitlines()[-1] == f"found {chrome}"
    assert "Installing Chromium with apt-get: failed" in said
    assert "    sudo: a password is required" in said
    assert machine.calls == ["sudo -n env DEBIAN_FRONTEND=noninteractive apt-get update", "playwright install chromium"]


def test_without_apt_get_playwright_is_asked_at_once(machine: Machine) -> None:
    machine.playwright(f"import shutil; shutil.copy({str(machine.later)!r}, {str(machine.chromium)!r})")
    assert machine.ensure().splitlines()[-1] == f"found {machine.chromium}"
    assert machine.calls == ["playwright install chromium"]


def test_where_nothing_helps_it_is_said(machine: Machine) -> None:
    machine.apt_get("echo E: Unable to locate package chromium; exit 100")
    said = machine.ensure()
    assert said.splitlines()[-1] == "refused no_chromium"
    assert "    E: Unable to locate package chromium" in said
    assert "    no download here" in said
