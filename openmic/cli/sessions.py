"""``openmic sessions``: what the owner does with recordings, while a server runs or after it has gone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from openmic.cli.actions import add_actions

if TYPE_CHECKING:  # the command line must start without them
    from openmic.sessions.archive import Archive, StoredSession
    from openmic.sessions.export import SoundFormat, TextFormat

FORMATS = ("json", "srt", "vtt", "txt", "wav", "flac")
STDOUT = "-"
FIRST_WORDS = 48  # characters of a text in the list


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``sessions`` and its own commands."""
    action = add_actions(
        commands, "sessions", "list, show, export, finish or delete recordings", "where recordings are, if not as set"
    )
    action("list", _list, "one line for each recording, the oldest first")
    show = action("show", _show, "what is known of one recording, and its text")
    show.add_argument("name", metavar="ID", help="of the recording, or how it begins")

    export = action("export", _export, "write recordings' texts or sound into files")
    _which(export)
    export.add_argument(
        "--format", action="append", choices=FORMATS, dest="formats", help="may be given again; left out: json"
    )
    export.add_argument(
        "--output", default=".", metavar="FOLDER", help=f"where to; `{STDOUT}` is stdout, for one file; left out: here"
    )

    finish = action("finish", _finish, "transcribe recordings now that a server which died left unfinished")
    _which(finish)
    finish.add_argument("--model", default="auto", help="tiny ... turbo, a path to a .pt file, or auto")

    delete = action("delete", _delete, "delete recordings for good")
    _which(delete)


def _which(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("names", nargs="*", default=[], metavar="ID", help="of a recording, or how it begins")
    which.add_argument("--all", action="store_true", help="all that no running server works on")


def _archive(arguments: argparse.Namespace) -> Archive:
    from openmic.service.arguments import make_settings
    from openmic.sessions.archive import Archive

    given = {} if arguments.data_dir is None else {"data_dir": arguments.data_dir}
    settings = make_settings(**given)
    return Archive(settings.data_dir, settings.lease_seconds)


def _chosen(arguments: argparse.Namespace) -> list[StoredSession]:
    archive = _archive(arguments)
    if arguments.all:
        return [entry for entry in archive.entries() if entry.standing != "running"]
    return [archive.find(name) for name in arguments.names]


def _list(arguments: argparse.Namespace) -> int:
    archive = _archive(arguments)
    entries = archive.entries()
    if not entries:
        print(f"No recordings in {archive.data_dir}.")
        return 0
    print(f"{'id':8}  {'began':16}  {'length':>8}  {'on disk':>8}  {'state':10}  text")
    for entry in entries:
        if entry.replay is None:
            print(f"{entry.short}  {'?':16}  {'?':>8}  {_size(entry.disk_bytes):>8}  {entry.standing:10}")
            continue
        snapshot = entry.snapshot()
        text = snapshot.final.text if snapshot.final is not None else snapshot.committed_text
        began, length = _began(snapshot.created), _length(snapshot.audio_seconds)
        print(
            f"{entry.short}  {began}  {length:>8}  {_size(entry.disk_bytes):>8}  {entry.standing:10}  "
            f"{_first_words(text)}"
        )
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from openmic.terminal import printable

    entry = _archive(arguments).find(arguments.name)
    snapshot = entry.snapshot()
    lines = [
        f"id        {entry.id}",
        f"state     {_standing(entry)}",
        f"began     {_began(snapshot.created)}",
        f"length    {_length(snapshot.audio_seconds)}",
        f"received  {_size(snapshot.received_bytes)}",
        f"on disk   {_size(entry.disk_bytes)} in {entry.folder}",
    ]
    if snapshot.error is not None:
        lines.append(f"error     {snapshot.error.message} {snapshot.error.hint}")
    elif entry.damaged:
        lines.append("damaged   its journal is good up to some place; what came after it cannot be read")
    final = snapshot.final
    lines += ["", printable(final.text.strip() if final is not None else snapshot.committed_text)]
    print("\n".join(lines))
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from openmic.sessions.problems import PROBLEMS

    entries, formats = _chosen(arguments), arguments.formats or ["json"]
    try:
        if arguments.output == STDOUT:
            if len(entries) != 1 or len(formats) != 1:
                raise PROBLEMS.error("export_failed", detail="Stdout takes one recording in one format")
            for data in _file(entries[0], formats[0]):
                sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return 0
        folder = Path(arguments.output)
        folder.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            for kind in formats:
                path = folder / f"openmic-{entry.short}.{kind}"
                with path.open("wb") as file:
                    file.writelines(_file(entry, kind))
                print(path)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PROBLEMS.error("export_failed", detail=error.strerror or type(error).__name__) from error
    return 0


def _file(entry: StoredSession, kind: str) -> Iterator[bytes]:
    """One recording in one format, in pieces; the same as the server's downloads."""
    from openmic.sessions.export import SOUND, export_sound, export_text

    if kind in SOUND:
        with entry.sound() as recording:
            yield from export_sound(cast("SoundFormat", kind), recording).chunks
        return
    snapshot = entry.snapshot()
    text = export_text(cast("TextFormat", kind), snapshot, entry.commits(), snapshot.audio_seconds or None)
    yield text.encode() + (b"\n" if kind == "json" else b"")


def _finish(arguments: argparse.Namespace) -> int:
    from openmic.service.arguments import make_settings
    from openmic.service.finishing import finish_sessions
    from openmic.sessions.offline import needs_finishing
    from openmic.sessions.problems import PROBLEMS
    from openmic.terminal import TerminalProgress, printable

    entries = _chosen(arguments)
    if arguments.all:
        entries = [entry for entry in entries if needs_finishing(entry)]
    for entry in entries:
        if entry.standing == "running":
            raise PROBLEMS.error("recording_in_use", name=entry.short)
        if not needs_finishing(entry):
            raise PROBLEMS.error("nothing_to_finish", name=entry.short)
    if not entries:
        print("All recordings are finished.")
        return 0
    progress = TerminalProgress()
    for entry, final in finish_sessions(entries, make_settings(model=arguments.model), progress):
        progress.close()
        print(f"{entry.short}  {_length(final.duration)}  {printable(final.text.strip())}", flush=True)
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    entries = _chosen(arguments)
    for entry in entries:
        entry.delete()
        print(f"deleted {entry.short}")
    if not entries:
        print("There is nothing to delete.")
    return 0


def _standing(entry: StoredSession) -> str:
    return {
        "running": f"running: a server works on it ({entry.holder_name or 'its name is not known'})",
        "unfinished": f"unfinished: `openmic sessions finish {entry.short}` or the next server transcribes it",
    }.get(entry.standing, entry.standing)


def _began(created: float) -> str:
    return f"{datetime.fromtimestamp(created):%Y-%m-%d %H:%M}"


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


def _first_words(text: str) -> str:
    from openmic.terminal import printable

    text = printable(text.strip())
    return text if len(text) <= FIRST_WORDS else text[: FIRST_WORDS - 1] + "…"
