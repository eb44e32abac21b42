"""The process that decodes strangers' media, one fork of it for each session: ``DecoderProcesses`` starts it.

It imports PyAV and NumPy and nothing else of size, has one thread, and forks when a session asks for it, so that a
session finds everything loaded and costs only the memory that it writes to. The fork limits itself before it reads the
first byte: in memory, in processor time as the sound goes on, in files. What takes more is ended by the system.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import math
import os
import re
import resource
import signal
import socket
import struct
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import av

from openmic.audio import decoder_wire as wire
from openmic.audio.decoder import decode
from openmic.audio.formats import AudioFormat
from openmic.audio.types import SAMPLE_RATE
from openmic.errors import OpenmicError

MEGABYTE = 1_000_000
PIECE_BYTES = 32_768  # asked of a session at once, at least
WARM_CODECS = ("opus", "aac", "mp3", "flac", "vorbis")
STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """What one session's decoding may take; more of it ends that session alone.

    Attributes:
        memory_bytes: beside what the process has when it begins. An hour of any kind takes less than a tenth.
        start_seconds: processor time before any sound has come.
        sound_factor: more of it for each second of sound; 192 kHz FLAC takes about 0.01.
        megabyte_seconds: and for each megabyte read, which may be video.
        max_files: descriptors.
    """

    memory_bytes: int = 64 * MEGABYTE
    start_seconds: float = 10.0
    sound_factor: float = 0.25
    megabyte_seconds: float = 0.1
    max_files: int = 16


class RemoteSource:
    """A session's bytes, which stay where they are: an ``openmic.audio.types.ByteSource``."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._offset = 0
        self._piece_start = 0
        self._piece = b""
        self.read_bytes = 0

    def read(self, size: int) -> bytes:
        """See ``ByteSource.read``; asks for more than that, as each question takes its time."""
        begin = self._offset - self._piece_start
        if not 0 <= begin < len(self._piece):
            wanted = wire.WANTED.pack(max(size, PIECE_BYTES), self._offset)
            wire.send(self._connection, wire.READ, wanted)
            self._piece_start, self._piece = self._offset, wire.receive(self._connection)[1]
            self.read_bytes += len(self._piece)
            begin = 0
        data = self._piece[begin : begin + size]
        self._offset += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """See ``ByteSource.seek``."""
        target = offset + (self._offset if whence == 1 else 0)
        if target < 0:
            raise ValueError(f"offset {target} is before the start")
        self._offset = target
        return target

    def tell(self) -> int:
        """See ``ByteSource.tell``."""
        return self._offset


class ProcessorTime:
    """This process's limit of processor time, which moves on with what it does for it."""

    def __init__(self, limits: DecoderLimits) -> None:
        self._limits = limits
        self._allowed = 0
        self.extend(0.0, 0)

    def extend(self, sound_seconds: float, read_bytes: int) -> None:
        """Allow as much as so much sound, from so many bytes, may take."""
        limits = self._limits
        more = sound_seconds * limits.sound_factor + read_bytes / MEGABYTE * limits.megabyte_seconds
        allowed = math.ceil(limits.start_seconds + more)
        if allowed > self._allowed:
            self._allowed = allowed
            resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def limit(limits: DecoderLimits) -> None:
    """Limit this process for good, but for its processor time: see ``ProcessorTime``."""
    with contextlib.suppress(OSError, ValueError):  # a system that limits no memory: ``DecoderProcesses`` tells of it
        most = _data_bytes() + limits.memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.max_files, limits.max_files))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def decode_for(connection: socket.socket) -> None:
    """Decode for the session at the other end, until its bytes end or it has gone."""
    opened = json.loads(wire.receive(connection)[1])
    limits = DecoderLimits(**opened["limits"])
    limit(limits)
    processor_time, source, samples_sent = ProcessorTime(limits), RemoteSource(connection), 0
    try:
        for samples in decode(source, AudioFormat(**opened["audio_format"]), partial(_tell, connection, wire.WARNING)):
            samples_sent += len(samples)
            processor_time.extend(samples_sent / SAMPLE_RATE, source.read_bytes)
            wire.send(connection, wire.SAMPLES, samples.tobytes())
        wire.send(connection, wire.END)
    except OpenmicError as error:
        _tell(connection, wire.PROBLEM, error)
    except MemoryError:
        wire.send(connection, wire.TOO_COSTLY)
    except (OSError, EOFError):  # the session has gone
        pass
    except Exception as fault:
        wire.send(connection, wire.FAULT, type(fault).__name__.encode())


def _tell(connection: socket.socket, kind: bytes, error: OpenmicError) -> None:
    parts = {"code": error.code, "what": error.what, "why": error.why, "hint": error.hint}
    wire.send(connection, kind, json.dumps(parts).encode())


def open_message(audio_format: AudioFormat, limits: DecoderLimits) -> bytes:
    """The content of the frame that a conversation begins with."""
    return json.dumps({"audio_format": asdict(audio_format), "limits": asdict(limits)}).encode()


def serve(control: socket.socket) -> None:
    """Fork for each connection that comes over ``control``, until that ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    gc.freeze()  # a collection in a fork would write to every page
    while True:
        note, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not note:
            return
        with socket.socket(fileno=descriptors[0]) as connection:
            if os.fork() == 0:
                control.close()
                with contextlib.suppress(BaseException):
                    decode_for(connection)
                os._exit(0)


def _data_bytes() -> int:
    """What counts against ``RLIMIT_DATA`` now."""
    found = re.search(r"VmData:\s+(\d+) kB", STATUS.read_text(encoding="ascii"))
    return int(found[1]) * 1024 if found else 0


def warm_up() -> None:
    """Do once what every fork would do at its first bytes: FFmpeg fills its codecs' tables, and more."""
    for codec in WARM_CODECS:
        with contextlib.suppress(av.FFmpegError):  # a build without it
            av.CodecContext.create(codec, "r").open()
    sound = bytes(3 * 2 * 4800)  # 0.1 s of 24-bit stereo, which FFmpeg reads; 16 bits would be read without it
    head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 0, b"WAVEfmt ", 16, 1, 2, 48_000, 288_000, 6, 24, b"data", 0)
    for _ in decode(io.BytesIO(head + sound), AudioFormat()):
        pass


def main() -> None:
    """Serve over the descriptor that is named."""
    warm_up()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        serve(control)


if __name__ == "__main__":
    main()
