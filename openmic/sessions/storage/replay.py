"""Reads a journal: how a session began, what its client sent and received, and whether it has ended."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from openmic.audio.decoder import AudioFormat
from openmic.errors import OpenmicError
from openmic.sessions.events import Committed, CountedEvent, Ended, Finalised, Reason
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.storage.record_file import Ending, Kind, NotRecords, Scan
from openmic.speech.types import FinalWindow, SpeechOptions


@dataclass(frozen=True, slots=True)
class OpenedEntry:
    """How a session began.

    Attributes:
        id: its public name.
        token_hash: SHA-256 of its resume token, in hex; the token itself is never written down.
        created: seconds since 1970.
        words: whether its client asked for word times.
        options, audio_format: what its client said.
        endpoint_silence_seconds: what ends an utterance; None: an earlier version wrote the journal.
    """

    id: str
    token_hash: str
    created: float
    words: bool
    options: SpeechOptions
    audio_format: AudioFormat
    endpoint_silence_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class StoppedEntry:
    """Why no more audio is taken; ``error`` is told after the final."""

    reason: Reason
    error: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class EndedEntry:
    """The end of a session that went well (``ended``) or not (``error``).

    Attributes:
        at: seconds since 1970.
        received_bytes: how many bytes its client sent.
        audio_seconds: the length of its recording.
    """

    at: float
    received_bytes: int
    audio_seconds: float
    error: dict[str, str] | None = None
    ended: Ended | None = None


COUNTED: dict[Kind, TypeAdapter[Any]] = {
    Kind.COMMITTED: TypeAdapter(Committed),
    Kind.FINALISED: TypeAdapter(Finalised),
}
_OPENED = TypeAdapter(OpenedEntry)
_STOPPED = TypeAdapter(StoppedEntry)
_OVER = TypeAdapter(EndedEntry)
_WALKED = TypeAdapter(FinalWindow)


@dataclass(slots=True)
class JournalReplay:
    """A session as its journal records it.

    Attributes:
        opened: how it began.
        received_bytes: audio bytes of its client, in the journal or (once ended) before it was made compact.
        counted: the numbered events that its client was sent, in order, without the end.
        walked: what the final pass has done, in order.
        flush_at: a wish to flush after so many bytes, if nothing was committed since.
        stopped: why it takes no more audio; None while it does.
        over: how it ended; None while it has not.
        ended_at: when, in seconds since 1970.
        recovered: how often a server has taken it up since its client or the engine last added to it.
        compact: its audio bytes were dropped once it had ended: the recording is what is kept.
        good_bytes: how much of the file is good, and what follows that.
        ending: see there.
    """

    opened: OpenedEntry
    received_bytes: int = 0
    counted: list[Committed | Finalised] = field(default_factory=list)
    walked: list[FinalWindow] = field(default_factory=list)
    flush_at: int | None = None
    stopped: StoppedEntry | None = None
    over: EndedEntry | None = None
    recovered: int = 0
    compact: bool = False
    good_bytes: int = 0
    ending: Ending = Ending.CLEAN

    @property
    def seq(self) -> int:
        """The number of the last counted event."""
        return len(self.counted)

    @property
    def is_over(self) -> bool:
        """Whether the session has ended; one whose audio was dropped has, whatever else its journal says."""
        return self.over is not None or self.compact


def hash_token(resume_token: str) -> str:
    """What a journal keeps of a resume token: 24 random bytes, so one round is enough."""
    return hashlib.sha256(resume_token.encode(errors="replace")).hexdigest()


def to_payload(value: OpenedEntry | StoppedEntry | EndedEntry | CountedEvent | FinalWindow) -> bytes:
    """A record's payload: JSON, with NaN and infinities as Python writes them."""
    return json.dumps(dataclasses.asdict(value), separators=(",", ":")).encode()


def error_fields(error: OpenmicError | None) -> dict[str, str] | None:
    """An error as a journal keeps it."""
    if error is None:
        return None
    return {"code": error.code, "what": error.what, "why": error.why, "hint": error.hint}


def to_error(fields: dict[str, str] | None) -> OpenmicError | None:
    """The error that ``error_fields`` was given."""
    if fields is None:
        return None
    return OpenmicError(fields["code"], fields["what"], fields["why"], fields["hint"])


def read_replay(file: int) -> JournalReplay:
    """Read an open journal, as far as it is good.

    Raises:
        OpenmicError: ``journal_unreadable``: not even its first record can be read.
    """
    try:
        scan = Scan(file)
        replay: JournalReplay | None = None
        for record in scan:
            if replay is None:
                if record.kind != Kind.OPENED:
                    break
                replay = JournalReplay(_OPENED.validate_python(json.loads(record.payload)))
            else:
                _take(replay, record.kind, record.payload)
    except EarlierVersion as error:
        raise PROBLEMS.error("journal_unreadable", detail="an earlier version of openmic wrote it") from error
    except (NotRecords, ValidationError, ValueError) as error:
        raise PROBLEMS.error("journal_unreadable", detail=type(error).__name__) from error
    if replay is None:
        raise PROBLEMS.error("journal_unreadable", detail="it says nothing")
    replay.good_bytes, replay.ending = scan.good_bytes, scan.ending
    return replay


def read_opened_at(path: str | os.PathLike[str]) -> OpenedEntry:
    """How the session of the journal at ``path`` began; nothing else is read.

    Raises:
        OpenmicError: ``journal_unreadable``.
    """
    with _journal_at(path) as file:
        try:
            for record in Scan(file):
                return _OPENED.validate_python(json.loads(record.payload))
        except (NotRecords, ValidationError, ValueError) as error:
            raise PROBLEMS.error("journal_unreadable", detail=type(error).__name__) from error
    raise PROBLEMS.error("journal_unreadable", detail="it says nothing")


def read_replay_at(path: str | os.PathLike[str]) -> JournalReplay:
    """Read the journal at ``path``, as ``read_replay`` does; it may be in use.

    Raises:
        OpenmicError: ``journal_unreadable``.
    """
    with _journal_at(path) as file:
        return read_replay(file)


@contextlib.contextmanager
def _journal_at(path: str | os.PathLike[str]) -> Iterator[int]:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise PROBLEMS.error("journal_unreadable", detail=error.strerror or "it cannot be opened") from error
    try:
        yield file
    finally:
        os.close(file)


class EarlierVersion(Exception):
    """The journal holds audio in a form that is not read any more."""


def _take(replay: JournalReplay, kind: int, payload: bytes) -> None:
    match kind:
        case Kind.PACKED:
            raise EarlierVersion
        case Kind.AUDIO:
            replay.received_bytes += len(payload)
            replay.recovered = 0
        case Kind.FLUSHED:
            replay.flush_at = replay.received_bytes
        case Kind.STOPPED:
            replay.stopped = _STOPPED.validate_python(json.loads(payload))
        case Kind.COMMITTED | Kind.FINALISED:
            event = COUNTED[Kind(kind)].validate_python(json.loads(payload))
            if event.seq == replay.seq + 1:
                replay.counted.append(event)
            replay.flush_at = None
            replay.recovered = 0
        case Kind.WALKED:
            replay.walked.append(_WALKED.validate_python(json.loads(payload)))
            replay.recovered = 0
        case Kind.ENDED | Kind.FAILED:
            replay.over = _OVER.validate_python(json.loads(payload))
            replay.received_bytes = replay.over.received_bytes
        case Kind.RECOVERED:
            replay.recovered += 1
        case Kind.COMPACTED:
            replay.compact = True
