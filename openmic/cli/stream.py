"""``openmic stream``: a recording or the microphone to a service, and its messages as they come."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from openmic.cli.signals import EndSignals
from openmic.client import MICROPHONE, Collect, Result, StreamFailed, StreamOptions, iter_stream
from openmic.client.link import link_token
from openmic.client.result import Message
from openmic.client.transcribe import Source

LINK_VARIABLE = "OPENMIC_LINK"
TOKEN_VARIABLE = "OPENMIC_CLIENT_TOKEN"  # OPENMIC_TOKEN is this machine's own server's, and nobody else's


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``stream``."""
    stream = commands.add_parser("stream", help="stream a recording or the microphone to a service")
    stream.add_argument(
        "url",
        metavar="LINK|-",
        help=f"the service's link, with its token (https://host/#token=...); - takes it from {LINK_VARIABLE}, where "
        "other users of this machine cannot read it",
    )
    stream.add_argument("source", metavar="FILE|mic", help="a recording in any container, or the microphone")
    stream.add_argument("--token", help=f"the token, where the link has none (or the variable {TOKEN_VARIABLE})")
    stream.add_argument("--language", help="ISO 639-1 code of what is spoken; left out: detect it")
    stream.add_argument("--vocabulary", metavar="A,B", help="names and terms that may be said, separated by commas")
    stream.add_argument("--prompt", help="text that speech is taken to follow")
    stream.add_argument("--translate", action="store_true", help="into English")
    stream.add_argument("--words", action="store_true", help="with the times of words")
    stream.add_argument("--fast", action="store_true", help="as fast as the service takes it, not at speech's speed")
    stream.add_argument("--json", action="store_true", help="print every message as one line of JSON, nothing else")
    stream.add_argument("--output", type=Path, metavar="FILE", help="write the final JSON there, not to stdout")
    stream.set_defaults(run=_stream)


def _stream(arguments: argparse.Namespace) -> int:
    from openmic.client.live_lines import LiveLines

    lines = LiveLines(sys.stderr)
    show = _print_message if arguments.json else lines
    options = StreamOptions(language=arguments.language)
    if arguments.vocabulary:
        options["vocabulary"] = [term.strip() for term in arguments.vocabulary.split(",") if term.strip()]
    if arguments.prompt:
        options["prompt"] = arguments.prompt
    if arguments.translate:
        options["task"] = "translate"
    if arguments.words:
        options["words"] = True
    if arguments.source == MICROPHONE and not arguments.json:
        print("Speak now; Ctrl-C ends the recording and brings the final text.", file=sys.stderr)
    link = os.environ.get(LINK_VARIABLE, "") if arguments.url == "-" else arguments.url
    token = arguments.token or link_token(link) or os.environ.get(TOKEN_VARIABLE)

    def give(result: Result) -> None:
        lines.close()
        if arguments.output is not None:
            arguments.output.write_text(result.json() + "\n", encoding="utf-8")
        elif not arguments.json:
            print(result.json(), flush=True)

    try:
        follow(link, arguments.source, show, give, not arguments.fast, token, options)
    finally:
        lines.close()
    return 0


def follow(
    link: str,
    source: Source,
    show: Callable[[Message], None],
    give: Callable[[Result], None],
    realtime: bool,
    token: str | None = None,
    options: StreamOptions | None = None,
) -> None:
    """Stream and show, then give the result, also one that an error follows.

    The first Ctrl-C ends the audio and waits for the final, the second gives up.
    """
    collect = Collect()
    try:
        with EndSignals() as signals, collect.keep_what_was_transcribed():
            messages = iter_stream(
                link, source, token=token, realtime=realtime, finish=signals.asked, **(options or StreamOptions())
            )
            for message in messages:
                collect(message)
                show(message)
    except StreamFailed as failed:
        if failed.result is not None:
            give(failed.result)
        raise
    give(collect.result())


def _print_message(message: Message) -> None:
    print(json.dumps(message, ensure_ascii=False), flush=True)
