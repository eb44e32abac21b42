"""``openmic tokens``: a cluster's tokens, made and revoked while it runs, from any machine with its folder."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import TYPE_CHECKING

from openmic.cli.actions import add_actions

if TYPE_CHECKING:  # the command line must start without it
    from openmic.server.access.token_file import TokenFile


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``tokens`` and its own commands."""
    action = add_actions(
        commands,
        "tokens",
        "list, make or revoke the tokens that the replicas of a cluster share",
        "the replicas' folder, if not as set",
    )
    action("list", _list, "one line for each token, without its secret")
    show = action("show", _show, "print the first token for a use: what the first link carries")
    new = action("new", _new, "make one more token and print it")
    for parser in (show, new):
        parser.add_argument("--use", choices=("tester", "owner"), default="tester", help="left out: tester")
    new.add_argument("--seconds", type=float, metavar="S", help="its life; left out: until it is revoked")
    revoke = action("revoke", _revoke, "take a token back: within a second it opens nothing on any replica")
    revoke.add_argument("token", metavar="ID", help="as the list has it")


def _file(arguments: argparse.Namespace) -> TokenFile:
    from openmic.server.access.token_file import TokenFile
    from openmic.service.arguments import make_settings

    given = {} if arguments.data_dir is None else {"data_dir": arguments.data_dir}
    return TokenFile(make_settings(**given).data_dir)


def _list(arguments: argparse.Namespace) -> int:
    file = _file(arguments)
    tokens = file.read()
    if not tokens:
        print(f"No tokens in {file.path}.")
        return 0
    print(f"{'id':8}  {'use':6}  {'made':16}  {'state':8}  seconds")
    for token in tokens:
        made = f"{datetime.fromtimestamp(token.created):%Y-%m-%d %H:%M}"
        state = "revoked" if token.revoked else "expired" if token.access_token().expired else "good"
        print(f"{token.id:8}  {token.use:6}  {made}  {state:8}  {'-' if token.seconds is None else token.seconds}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from openmic.server.problems import PROBLEMS

    for token in _file(arguments).read():
        if token.use == arguments.use and token.secret is not None and not token.revoked:
            print(token.secret)
            return 0
    raise PROBLEMS.error("no_such_token")


def _new(arguments: argparse.Namespace) -> int:
    print(_file(arguments).make(arguments.use, arguments.seconds)[1])
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    token = _file(arguments).revoke(arguments.token)
    print(f"revoked {token.id}")
    return 0
