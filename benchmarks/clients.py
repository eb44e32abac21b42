"""Do other people's SDKs and frameworks work with a running server, unmodified?

``python -m benchmarks.clients http://127.0.0.1:PORT TOKEN [--only pipecat,livekit-deepgram,node,chromium]``

Without ``--only`` all of ``CLIENTS``; what stands in front of a hyphen names all that begin so. Each is installed by
itself into the cache folder, at its newest version, and hears the quick start's recording. The server is one on this
machine. Needs npm and openssl beside the benchmarks' own requirements.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.peers.environments import cache_folder, environment
from benchmarks.unmodified.tls import tls_front

SCRIPTS = Path(__file__).parent / "unmodified"
RECORDING = Path(__file__).parents[1] / "sample_audio" / "quickstart.wav"
SAID = ("Garden Library", "half past six", "title after the tone")
RUN_SECONDS = 180.0
ENDS_BY_CLIENT = ("openai", "deepgram", "assemblyai", "soniox")  # pipecat's services that are run both ways
PIPECAT_SERVICES = (*ENDS_BY_CLIENT, *(f"{name}-client" for name in ENDS_BY_CLIENT), "flux")
LIVEKIT_PLUGINS = ("openai", "deepgram", "assemblyai", "soniox")
NPM_PACKAGES = ("openai", "ws", "esbuild")


@dataclass(frozen=True)
class Server:
    """Where it is, and its token."""

    url: str
    token: str


def heard(text: str) -> bool:
    """Whether a transcript is the recording's."""
    return all(words in text for words in SAID)


def kept(answer: dict[str, Any]) -> bool:
    """Whether all that the JavaScript checks looked at is as it should be."""
    texts = [value for value in answer.values() if isinstance(value, str)]
    return len(texts) == 2 and all(map(heard, texts)) and all(answer.values()) and "refused" in answer


def pipecat(server: Server, service: str) -> bool:
    """One of pipecat's services; a name that ends in "client" has the program find the ends of turns."""
    python = environment("pipecat", ["pipecat-ai[openai,deepgram,assemblyai,soniox]"])
    return _heard(_run([str(python), str(SCRIPTS / "pipecat_stt.py"), *_arguments(server), service]))


def livekit(server: Server, plugin: str) -> bool:
    """One of LiveKit's plugins."""
    python = environment("livekit", ["livekit-agents", *(f"livekit-plugins-{name}" for name in LIVEKIT_PLUGINS)])
    return _heard(_run([str(python), str(SCRIPTS / "livekit_stt.py"), *_arguments(server), plugin]))


def node(server: Server) -> bool:
    """OpenAI's SDK for JavaScript under Node."""
    folder = _npm_folder()
    with _over_tls(server) as secure:
        command = ["node", str(folder / "openai_node.mjs"), *_arguments(secure)]
        return kept(json.loads(_run(command, NODE_TLS_REJECT_UNAUTHORIZED="0").splitlines()[-1]))


def chromium(server: Server) -> bool:
    """The same in a page of another origin on this machine."""
    from playwright.sync_api import sync_playwright

    folder = _npm_folder()
    _run(["npx", "--prefix", str(folder), "esbuild", "openai_page.mjs", "--bundle", "--outfile=page.js"], cwd=folder)
    (folder / "page.html").write_text('<script src="page.js"></script>', encoding="utf-8")
    shutil.copy(RECORDING, folder / "speech.wav")
    with _over_tls(server) as secure, _pages(folder) as pages, sync_playwright() as playwright:
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.goto(f"{pages}/page.html")
        answer = page.evaluate("([base, token]) => run(base, token, 'speech.wav')", [secure.url, secure.token])
        browser.close()
    return kept(answer)


CLIENTS: dict[str, Callable[[Server], bool]] = {
    **{f"pipecat-{service}": partial(pipecat, service=service) for service in PIPECAT_SERVICES},
    **{f"livekit-{plugin}": partial(livekit, plugin=plugin) for plugin in (*LIVEKIT_PLUGINS, "flux")},
    "node": node,
    "chromium": chromium,
}


def chosen(names: str) -> list[str]:
    """Which of ``CLIENTS`` are meant by names with commas between them.

    Raises:
        ValueError: a name that none has.
    """
    found: set[str] = set()
    for name in names.split(","):
        named = {client for client in CLIENTS if client == name or client.startswith(f"{name}-")}
        if not named:
            raise ValueError(f"{name} is none of {', '.join(CLIENTS)}")
        found |= named
    return [client for client in CLIENTS if client in found]


def _arguments(server: Server) -> list[str]:
    return [server.url, server.token, str(RECORDING)]


def _heard(text: str) -> bool:
    """As ``heard``; a transcript that is not the recording's is shown."""
    if not heard(text):
        print(text, file=sys.stderr)
    return heard(text)


def _run(command: list[str], cwd: Path | None = None, **variables: str) -> str:
    environ = {**os.environ, **variables}
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, cwd=cwd, env=environ)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        done.check_returncode()
    return done.stdout


def _npm_folder() -> Path:
    folder = cache_folder() / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, folder)
    if not (folder / "node_modules" / "openai").is_dir():
        _run(["npm", "install", "--prefix", str(folder), *NPM_PACKAGES])
    return folder


@contextmanager
def _over_tls(server: Server) -> Iterator[Server]:
    port = urlsplit(server.url).port
    assert port is not None
    with tempfile.TemporaryDirectory() as folder, tls_front(port, Path(folder)) as front:
        yield Server(f"https://localhost:{front}", server.token)


@contextmanager
def _pages(folder: Path) -> Iterator[str]:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        yield f"http://localhost:{pages.server_port}"
        pages.shutdown()


def main() -> None:
    """Run those that are asked for; exit code 1 if one does not hear what was said."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("--only", default=",".join(CLIENTS))
    given = parser.parse_args()
    server, failed = Server(given.url.rstrip("/"), given.token), False
    for name in chosen(given.only):
        works = CLIENTS[name](server)
        failed = failed or not works
        print(f"{name:17} {'works' if works else 'FAILS'}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
