"""Commands that have commands of their own, each of which works on a service's folder."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

AddAction = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
"""Called with an action's name, what carries it out, and a line about it; gives its parser."""


def add_actions(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, about: str, folder: str
) -> AddAction:
    """Add a command that has actions.

    Args:
        commands: where to.
        name: of the command.
        about: what it does, in a line.
        folder: what ``--data-dir`` says of the folder that its actions work on.
    """
    actions = commands.add_parser(name, help=about).add_subparsers(required=True, metavar="ACTION")

    def action(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        parser = actions.add_parser(name, help=about, description=about)
        parser.add_argument("--data-dir", type=Path, metavar="FOLDER", help=folder)
        parser.set_defaults(run=run)
        return parser

    return action
