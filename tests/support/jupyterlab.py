"""A real JupyterLab with jupyter-server-proxy, in an environment of its own that the cache folder keeps."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from openmic_setup.place import cache_dir
from tests.matrix.index import UV, index_settings
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["jupyterlab"]
CACHE = cache_dir() / "jupyterlab"  # read here, since a test without weights has another cache folder
INSTALL_SECONDS = 600.0
KERNEL = "openmic"
SERVICE = """
import sys, time
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from openmic.notebook.microphone.microphone import Microphone, Place
from support.scripted_engine import scripted_server
serving = scripted_server(Path({folder!r}))
server = serving.__enter__()
voice = Microphone(Place(server.url, server.token))
"""


class Lab:
    """A running JupyterLab; each notebook in it has a kernel of the tests' own environment."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def notebook(self, name: str, *cells: str) -> str:
        """Write a notebook that first makes ``voice``, over the scripted engine; its address."""
        first = SERVICE.format(root=str(ROOT), tests=str(ROOT / "tests"), folder=str(self.folder.parent / name))
        sources = [first, *cells]
        content = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": KERNEL, "display_name": KERNEL, "language": "python"}},
            "cells": [
                {"cell_type": "code", "id": f"cell{n}", "metadata": {}, "source": source.strip(), "outputs": []}
                | {"execution_count": None}
                for n, source in enumerate(sources)
            ],
        }
        self.file(name).write_text(json.dumps(content), encoding="utf-8")
        return f"{self.url}/lab/tree/{name}.ipynb?reset"

    def file(self, name: str) -> Path:
        """Where a notebook is saved."""
        return self.folder / f"{name}.ipynb"

    def set(self, plugin: str, **values: Any) -> None:
        """Change settings of one of JupyterLab's plugins, for pages that are opened from now on."""
        package, _, part = plugin.partition(":")
        file = self.folder.parent / "settings" / package / f"{part}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")


def environment() -> Path:
    """The environment's Python; made where it is not there, or where pyproject.toml asks for something else."""
    key = hashlib.sha256("\n".join([sys.version, *REQUIREMENTS]).encode()).hexdigest()[:12]
    place = CACHE / key
    CACHE.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(CACHE / "lock", timeout=INSTALL_SECONDS):
        if not (place / "finished").exists():
            for old in CACHE.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            python = str(place / "bin" / "python")
            for command in (
                ["venv", "--quiet", "--python", sys.executable, str(place)],
                ["pip", "install", "--quiet", "--python", python, *REQUIREMENTS],
            ):
                done = subprocess.run(
                    [*UV, *command], env=index_settings(), capture_output=True, text=True, timeout=INSTALL_SECONDS
                )
                assert done.returncode == 0, done.stderr
            (place / "finished").touch()
    return place / "bin" / "python"


@contextmanager
def jupyterlab(folder: Path) -> Iterator[Lab]:
    """Run JupyterLab on loopback, with all it writes under ``folder``; its kernels end with it."""
    root, data = folder / "root", folder / "data"
    (data / "kernels" / KERNEL).mkdir(parents=True)
    root.mkdir()
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": KERNEL, "language": "python"}
    (data / "kernels" / KERNEL / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "JUPYTER_DATA_DIR": str(data),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
        "HOME": str(folder),
    }
    command = [str(environment()), "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={root}"]
    lab = Lab(root, f"http://localhost:{port}")
    lab.set("@jupyterlab/apputils-extension:notification", fetchNews="false", checkForUpdates=False)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, env=os.environ | variables, cwd=folder, stdout=log, stderr=subprocess.STDOUT, text=True
        )
    try:
        wait_until(lambda: process.poll() is not None or _answers(lab.url))
        assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
        yield lab
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:  # it waits for its kernels, whose machine may be busy
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
