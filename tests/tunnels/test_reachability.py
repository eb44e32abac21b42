"""The public URL as visitors see it."""

from __future__ import annotations

import socket

import pytest

from openmic.tunnels import problem_from_outside
from tests.support.tunnel_fixtures import OpenNgrok


def test_a_url_that_answers_has_no_problem(open_one: OpenNgrok) -> None:
    assert problem_from_outside(open_one()) is None


@pytest.mark.parametrize(
    ("mode", "code"),
    [("3200", "agent_offline"), ("8012", "server_unreachable"), ("725v", "month_used_up"), ("727v", "month_used_up")],
)
def test_what_visitors_meet_is_explained(open_one: OpenNgrok, mode: str, code: str) -> None:
    problem = problem_from_outside(open_one(mode))
    assert problem is not None
    assert problem.code == code


def test_a_server_that_stopped_is_explained(open_one: OpenNgrok) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    problem = problem_from_outside(open_one(port=port))
    assert problem is not None
    assert problem.code == "server_unreachable"


def test_a_tunnel_that_is_gone_does_not_answer(open_one: OpenNgrok) -> None:
    tunnel = open_one()
    tunnel.close()
    problem = problem_from_outside(tunnel)
    assert problem is not None
    assert problem.code == "not_reachable_from_here"
