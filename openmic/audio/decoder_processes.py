"""Decoding of strangers' media outside the service's own process, with limits on its memory and processor time.

A few hundred bytes can make a container's reader ask for gigabytes, or loop; and a fault in FFmpeg's C code takes its
whole process down. In a process of its own that is the end of one session. One program, started ahead, has everything
loaded and forks for each session (see ``decoder_child``): nothing is forked from the service itself, which has threads.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

import openmic
from openmic.audio import decoder_wire as wire
from openmic.audio.decoder import Warn, decode, ignore_warning
from openmic.audio.decoder_child import DecoderLimits, open_message
from openmic.audio.formats import AudioFormat
from openmic.audio.problems import PROBLEMS
from openmic.audio.types import SAMPLE_RATE, ByteSource, Samples
from openmic.errors import OpenmicError
from openmic.log import log_event

logger = logging.getLogger(__name__)

STUCK_SECONDS = 300.0  # without a word from a process that has work to do; its processor time ends far before
END_SECONDS = 5.0  # how long close() waits for the program to end by itself
LONGEST_SENTENCE = 500  # characters of an error from a process

START = """\
import sys
sys.path[:0] = sys.argv[2:]
from openmic.audio.decoder_child import main
main()
"""


class DecoderProcesses:
    """The program that forks for sessions; started by ``warm_up`` or when it is first needed, again if it has ended.

    Args:
        limits: of one session's decoding.

    All methods may be called from any thread.
    """

    def __init__(self, limits: DecoderLimits | None = None) -> None:
        self._limits = limits or DecoderLimits()
        self._lock = threading.Lock()
        self._program: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._warned = False

    def __enter__(self) -> DecoderProcesses:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Of the program that forks; None while none runs."""
        with self._lock:
            return self._program.pid if self._program is not None else None

    def warm_up(self) -> None:
        """Start the program, without waiting until it is ready.

        Raises:
            OpenmicError: ``decoder_not_started``.
        """
        with self._lock:
            self._start()

    def decode(self, source: ByteSource, audio_format: AudioFormat, warn: Warn = ignore_warning) -> Iterator[Samples]:
        """As ``openmic.audio.decoder.decode``, in a process of its own; raw samples need none.

        Raises:
            OpenmicError: as there; ``audio_too_costly``: the process was ended; ``decoder_not_started``.
        """
        if audio_format.encoding != "auto":
            yield from decode(source, audio_format)
            return
        with self._connect() as connection:
            yield from _converse(connection, source, open_message(audio_format, self._limits), warn)

    def close(self) -> None:
        """End the program; sessions that still decode go on in their own processes. Safe to call again."""
        with self._lock:
            program, self._program = self._program, None
            control, self._control = self._control, None
        if control is not None:
            control.close()
        if program is not None:
            try:
                program.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()

    def _connect(self) -> socket.socket:
        """A connection to a new process.

        Raises:
            OpenmicError: ``decoder_not_started``.
        """
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            for last in (False, True):
                control = self._start()
                try:
                    socket.send_fds(control, [b"+"], [theirs.fileno()])
                    break
                except OSError as error:  # it was killed: another takes its place
                    self._forget()
                    if last:
                        ours.close()
                        raise PROBLEMS.error("decoder_not_started", detail=error.strerror) from error
        ours.settimeout(STUCK_SECONDS)
        return ours

    def _start(self) -> socket.socket:
        if self._control is not None and self._program is not None and self._program.poll() is None:
            return self._control
        self._forget()
        if sys.platform != "linux" and not self._warned:
            self._warned = True
            log_event(logger, "decoder_unlimited", logging.WARNING, platform=sys.platform)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._program = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", START, str(theirs.fileno()), *_places()],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=_environment(),
                    start_new_session=True,  # Ctrl-C is for the service, which ends it when all is decoded
                )
        except OSError as error:
            ours.close()
            raise PROBLEMS.error("decoder_not_started", detail=error.strerror) from error
        self._control = ours
        return ours

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._program is not None:
            self._program.kill()
            self._program.wait()
        self._control = self._program = None


def _converse(connection: socket.socket, source: ByteSource, opening: bytes, warn: Warn) -> Iterator[Samples]:
    failure: Exception | None = None
    try:
        wire.send(connection, wire.OPEN, opening)
        while True:
            kind, content = wire.receive(connection)
            if kind == wire.SAMPLES:
                yield np.frombuffer(content, np.float32)[:SAMPLE_RATE]
            elif kind == wire.WARNING:
                warn(_problem(content))
            elif kind == wire.READ:
                data = b""
                if failure is None:
                    try:
                        size, offset = wire.WANTED.unpack(content)
                        if offset != source.tell():
                            source.seek(offset)
                        data = source.read(min(size, wire.MOST_BYTES))
                    except Exception as error:  # told once what was read before it is decoded
                        failure = error
                wire.send(connection, wire.DATA, data)
            else:
                break
    except (OSError, EOFError, ValueError) as error:
        raise failure or PROBLEMS.error("audio_too_costly") from error
    if failure is not None:
        raise failure
    if kind == wire.TOO_COSTLY:
        raise PROBLEMS.error("audio_too_costly")
    if kind == wire.PROBLEM:
        raise _problem(content)
    if kind != wire.END:
        raise RuntimeError(f"the decoder failed: {content[:LONGEST_SENTENCE]!r}")


def _problem(content: bytes) -> OpenmicError:
    """The error that a process reports, if it is one that a decoder can have."""
    parts = json.loads(content)
    if parts.get("code") not in PROBLEMS:
        raise RuntimeError(f"the decoder failed: {content[:LONGEST_SENTENCE]!r}")
    what, why, hint = (str(parts.get(name, ""))[:LONGEST_SENTENCE] for name in ("what", "why", "hint"))
    return OpenmicError(parts["code"], what, why, hint)


def _places() -> list[str]:
    """Where the program finds what it imports: this package and its two libraries, wherever they lie here."""
    modules = (openmic, av, np)
    return list(dict.fromkeys(str(Path(str(module.__file__)).resolve().parents[1]) for module in modules))


def _environment() -> dict[str, str]:
    """Nothing of ours but what programs need to start: no token, no settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
