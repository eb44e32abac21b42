"""The command line: ``openmic demo | serve | cluster | stream | sessions | tokens | check``.

Exit status: 0 done; 1 a fault of the program; 2 something a person can do about, told on stderr (a final that came
before it is printed all the same); 130 or 143 ended at once by a second Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmic import __version__
from openmic.cli.sessions import add_parser as add_sessions_parser
from openmic.cli.signals import EndSignals, Interrupted
from openmic.cli.stream import add_parser as add_stream_parser
from openmic.cli.stream import follow
from openmic.cli.tokens import add_parser as add_tokens_parser
from openmic.client import Result
from openmic.client.files import audio_seconds
from openmic.client.sample import recorder_slices, sample_path
from openmic.errors import OpenmicError

if TYPE_CHECKING:
    from openmic.service.service import OpenMic


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        run: Callable[[argparse.Namespace], int] = arguments.run
        return run(arguments)
    except OpenmicError as error:
        from openmic.terminal import complain

        complain(error)
        return 2
    except Interrupted as interrupted:
        return interrupted.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="openmic", description="Live transcription with Whisper, over a WebSocket.")
    parser.add_argument("--version", action="version", version=f"openmic {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add_stream_parser(commands)

    serve = commands.add_parser("serve", help="start a service here and run until Ctrl-C")
    _service_options(serve, tunnel="auto")
    serve.set_defaults(run=_serve)

    cluster = commands.add_parser(
        "cluster", help="start several replicas of the service on this machine, with Ray Serve"
    )
    cluster.add_argument("--replicas", type=_at_least_one, default=2, metavar="N", help="how many; left out: 2")
    _service_options(cluster, tunnel="auto")
    cluster.set_defaults(run=_cluster)

    demo = commands.add_parser("demo", help="start a service and stream a recording to it")
    demo.add_argument("--file", type=Path, help="another recording than the project's own")
    _service_options(demo, tunnel="none")
    demo.set_defaults(run=_demo)

    add_sessions_parser(commands)
    add_tokens_parser(commands)

    check = commands.add_parser("check", help="say what this machine has and lacks")
    check.set_defaults(run=_check)
    return parser


def _service_options(parser: argparse.ArgumentParser, tunnel: str) -> None:
    parser.add_argument("--model", default="auto", help="tiny ... turbo, a path to a .pt file, or auto")
    parser.add_argument("--language", help="ISO 639-1 code of what is spoken; left out: detect it")
    parser.add_argument("--vocabulary", default="", metavar="A,B", help="names and terms of sessions that bring none")
    parser.add_argument("--tunnel", default=tunnel, choices=("auto", "ngrok", "cloudflare", "none"))
    parser.add_argument("--port", type=int, default=0, help="0: any free one")


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in ("model", "language", "vocabulary", "tunnel", "port")}


def _serve(arguments: argparse.Namespace) -> int:
    from openmic.service.launch import launch

    mic = launch(**_settings(arguments))
    try:
        with EndSignals() as signals:
            shown = _show_card(mic)
            print("Ctrl-C finishes running sessions and stops; Ctrl-C again stops at once.", flush=True)
            while not signals.asked.is_set():
                time.sleep(0.2)
                if mic.link != shown:  # the tunnel broke and came back elsewhere
                    shown = _show_card(mic)
            print("Stopping.", flush=True)
            mic.stop()
    except Interrupted as interrupted:
        mic.close_tunnel()
        os._exit(interrupted.exit_status)  # not held up by sessions that are still being finished
    return 0


def _cluster(arguments: argparse.Namespace) -> int:
    from openmic.cluster.local import Cluster
    from openmic.terminal import TerminalProgress

    cluster, progress = Cluster(arguments.replicas, **_settings(arguments)), TerminalProgress()
    try:
        with EndSignals() as signals:
            try:
                cluster.start(progress)
            finally:
                progress.close()
            shown = ""
            while not signals.asked.is_set():
                if cluster.link != shown:  # also where the tunnel broke and came back elsewhere
                    shown = cluster.link
                    cluster.card().print(sys.stdout)
                    print("Ctrl-C finishes running sessions and stops; Ctrl-C again stops at once.", flush=True)
                time.sleep(0.2)
            print("Stopping.", flush=True)
            cluster.stop()
    except Interrupted as interrupted:
        cluster.close_tunnel()
        os._exit(interrupted.exit_status)  # Ray's processes end with this one
    finally:
        cluster.stop()
    return 0


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _show_card(mic: OpenMic) -> str:
    """Print the card; returns its link."""
    card = mic.card()
    card.print(sys.stdout)
    if mic.log_path is not None:
        print(f"The log is in {mic.log_path}.", flush=True)
    return card.link


def _demo(arguments: argparse.Namespace) -> int:
    from openmic.service.launch import launch

    source = arguments.file or sample_path()
    audio_seconds(source)  # what cannot be streamed is told before minutes go into weights
    as_a_browser = arguments.file is None  # by the way that a tester's voice takes, container and decoder and all
    with launch(**_settings(arguments)) as mic:
        called = f"{source.name} (as a browser records it)" if as_a_browser else source.name
        print(f"{mic!r}; streaming {called} to it at the speed of speech.", flush=True)
        from openmic.client.live_lines import LiveLines

        lines = LiveLines(sys.stdout)
        sound = recorder_slices(source) if as_a_browser else source

        def give(result: Result) -> None:
            lines.close()
            print(result.json(), flush=True)

        try:
            follow(mic.local_url, sound, lines, give, True, mic.token)
        finally:
            lines.close()
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from openmic.service.problems import PROBLEMS

    root = Path(__file__).resolve().parents[2]
    if importlib.util.find_spec("colab_bootstrap") is None and (root / "colab_bootstrap.py").is_file():
        sys.path.append(str(root))
    if importlib.util.find_spec("colab_bootstrap") is None:
        raise PROBLEMS.error("no_bootstrap")
    bootstrap = importlib.import_module("colab_bootstrap")
    return int(bootstrap.main(["check"]) or 0)


if __name__ == "__main__":
    sys.exit(main())
