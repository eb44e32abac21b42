"""A public URL from ngrok: its agent, driven by pyngrok.

The agent runs through a two-line shell script in a folder of its own. That makes its command line recognisable,
keeps what it writes to stderr (which pyngrok would let through to the notebook, authtoken included) in a private file,
and lets nothing but that folder's configuration say which authtoken counts. The authtoken stands in that
configuration, never in the command line, which everybody on the machine can read.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import threading
from pathlib import Path

import psutil
from pydantic import SecretStr
from pyngrok import conf, ngrok, process
from pyngrok.log import NgrokLog

from openmic.environment import SECRET_VARIABLES
from openmic.errors import OpenmicError
from openmic.progress import ProgressCallback, silent
from openmic.tunnels.agent_tunnel import AgentTunnel
from openmic.tunnels.agents import KILL_SECONDS, TERMINATE_SECONDS, AgentFolder, end_process
from openmic.tunnels.ngrok_errors import explain
from openmic.tunnels.problems import PROBLEMS
from openmic.tunnels.redaction import hide, quote
from openmic.tunnels.terms import NGROK_EXPIRES

START_SECONDS = 30.0  # for the agent to connect to ngrok
REQUEST_SECONDS = 20.0  # for ngrok to open the endpoint
SIGN_OFF_SECONDS = 3.0  # for the agent to close the endpoint before it is ended
LOG_BYTES = 65_536  # of the agent's log that are read at once
ENDPOINT = "openmic"

_STDERR = "stderr.log"


class NgrokTunnel(AgentTunnel):
    """An open ngrok endpoint and the agent that serves it; see ``Tunnel``."""

    name = "ngrok"
    expires: str | None = NGROK_EXPIRES

    def __init__(
        self, public_url: str, agent: process.NgrokProcess, log_reader: threading.Thread, folder: AgentFolder
    ) -> None:
        super().__init__(public_url.rstrip("/"), agent.proc, folder)
        self._agent = agent
        self._log_reader = log_reader

    def _end(self) -> None:
        """Sign off at ngrok, then end the agent."""
        config = self._agent.pyngrok_config
        config.request_timeout = SIGN_OFF_SECONDS
        with contextlib.suppress(Exception):  # ending the agent closes the endpoint too, only later
            ngrok.disconnect(self.public_url, config)
        _end(self._agent)
        self._log_reader.join(KILL_SECONDS)


def open_ngrok(
    authtoken: SecretStr,
    port: int,
    program: Path,
    root: Path,
    url: str | None = None,
    progress: ProgressCallback = silent,
    start_seconds: float = START_SECONDS,
) -> NgrokTunnel:
    """Start an agent and open an endpoint for ``http://127.0.0.1:port``.

    Args:
        authtoken: the account's.
        port: where the server listens.
        program: the agent, see ``ngrok_program``.
        root: under which the agent's folder is made.
        url: the account's own URL, where it has more than one.
        progress: told what is going on.
        start_seconds: how long the agent may take to connect.

    Raises:
        OpenmicError: one of ``PROBLEMS``; nothing is left running then.
    """
    hide(authtoken)
    folder = AgentFolder(root, program)
    failure: OpenmicError | None = None
    tunnel: NgrokTunnel | None = None
    config: conf.PyngrokConfig | None = None
    agent: process.NgrokProcess | None = None
    log_reader: threading.Thread | None = None
    try:
        config = _configure(folder, program, authtoken, start_seconds)
        progress("Connecting to ngrok", None)
        agent = _start(folder, program, config, start_seconds)
        log_reader = _read_log(agent.proc)  # before anything else is asked of it
        options = {"url": url if "://" in url else f"https://{url}"} if url else {}
        try:
            endpoint = ngrok.connect(
                f"http://127.0.0.1:{port}", name=ENDPOINT, pyngrok_config=config, inspect=False, **options
            )
            if _registered(config) is agent:
                tunnel = NgrokTunnel(str(endpoint.public_url), agent, log_reader, folder)
            else:  # it ended in between, and pyngrok started another one, which nobody watched
                failure = PROBLEMS.error("agent_died", detail=quote(folder.read(_STDERR)))
        except Exception as error:  # of whatever kind: its text may hold the authtoken
            failure = explain(error, program, folder.read(_STDERR), seconds=REQUEST_SECONDS)
    finally:
        # Also on Ctrl-C: an agent must not stay behind.
        if tunnel is None:
            if config is not None and (other := _registered(config)) is not agent:
                _discard(other)
            if agent is not None:
                _end(agent)
                if log_reader is not None:
                    log_reader.join(KILL_SECONDS)
            folder.remove()
    if tunnel is None:
        assert failure is not None
        raise failure  # outside of the except block, so that no traceback leads to pyngrok's text
    progress("Connecting to ngrok", 1.0)
    return tunnel


def _configure(folder: AgentFolder, program: Path, authtoken: SecretStr, start_seconds: float) -> conf.PyngrokConfig:
    config_path = folder.write(
        "ngrok.yml",
        f'version: "3"\nagent:\n  authtoken: {json.dumps(authtoken.get_secret_value())}\n  update_check: false\n',
    )
    secrets = " ".join(SECRET_VARIABLES)
    stderr = shlex.quote(str(folder.path / _STDERR))
    script = f'#!/bin/sh\numask 077\nunset {secrets}\nexec {shlex.quote(str(program))} "$@" 2>{stderr}\n'
    config = conf.PyngrokConfig(
        ngrok_path=str(folder.write("ngrok", script, mode=0o700)),
        config_path=str(config_path),
        monitor_thread=False,  # see _read_log
        startup_timeout=int(start_seconds) + 5,  # the watch below is first
        request_timeout=REQUEST_SECONDS,
    )
    config.auth_token = None  # pyngrok takes it from the environment and would put it into the command line
    return config


def _start(
    folder: AgentFolder, program: Path, config: conf.PyngrokConfig, start_seconds: float
) -> process.NgrokProcess:
    """Start the agent and wait until it is connected, for ``start_seconds`` at most."""
    watch = _StartWatch(folder, config, start_seconds)
    failure: OpenmicError | None = None
    agent: process.NgrokProcess | None = None
    with watch:
        try:
            agent = ngrok.get_ngrok_process(config)
        except Exception as error:  # of whatever kind: its text may hold the authtoken
            failure = explain(error, program, folder.read(_STDERR), watch.log, watch.timed_out, start_seconds)
        finally:
            if agent is None:
                _discard(watch.agent)
    if agent is None:
        assert failure is not None
        raise failure
    return agent


class _StartWatch:
    """Looks after an agent that starts: records it at once, and ends it when the time is up.

    pyngrok looks at its own time limit only between lines of the agent's log, and a silent agent writes none.
    """

    def __init__(self, folder: AgentFolder, config: conf.PyngrokConfig, seconds: float) -> None:
        self.agent: process.NgrokProcess | None = None
        self.log: list[NgrokLog] = []
        self.timed_out = False
        self._folder = folder
        self._config = config
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="openmic-ngrok-start", daemon=True)
        config.log_event_callback = self.log.append

    def __enter__(self) -> _StartWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        passed = 0.0
        while not self._over.wait(0.05):
            passed += 0.05
            self._look()
            if passed >= self._seconds and self.agent is not None:
                self.timed_out = True
                self.agent.proc.kill()
                return

    def _look(self) -> None:
        if self.agent is None:
            self.agent = _registered(self._config)
            if self.agent is not None:
                self._folder.record(self.agent.proc.pid)


def _read_log(proc: subprocess.Popen[str]) -> threading.Thread:
    """Read the agent's log away, or the agent stops once the pipe is full.

    pyngrok's own monitor would do it too, but passes every line to logging and never closes the pipe.
    """

    def read() -> None:
        if proc.stdout is not None:
            while os.read(proc.stdout.fileno(), LOG_BYTES):  # as bytes: a visitor's path in it need not be UTF-8
                pass
        _close_output(proc)

    thread = threading.Thread(target=read, name="openmic-ngrok-log", daemon=True)
    thread.start()
    return thread


def _registered(config: conf.PyngrokConfig) -> process.NgrokProcess | None:
    """The agent of this configuration, also while it starts.

    pyngrok has no public way to one that is still starting; the requirements pin pyngrok's major version.
    """
    return process._current_processes.get(config.ngrok_path)


def _discard(agent: process.NgrokProcess | None) -> None:
    """End an agent that no tunnel came of."""
    if agent is not None:
        _end(agent)
        _close_output(agent.proc)


def _close_output(proc: subprocess.Popen[str]) -> None:
    if proc.stdout is not None:
        proc.stdout.close()


def _end(agent: process.NgrokProcess) -> None:
    """End the agent gently (ngrok then knows at once that the URL is free) and let pyngrok forget it."""
    if agent.proc.poll() is None:
        try:
            end_process(psutil.Process(agent.proc.pid))
            agent.proc.wait(TERMINATE_SECONDS)
        except (psutil.Error, subprocess.TimeoutExpired):
            pass
    process.is_process_running(agent.pyngrok_config.ngrok_path)  # which forgets one that has ended
