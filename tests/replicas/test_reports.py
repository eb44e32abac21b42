"""What replicas say of themselves in the shared folder, without Ray: written by one, read by all."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from openmic.cluster.metrics import ClusterMetrics
from openmic.cluster.orders import Orders, read_orders
from openmic.cluster.reports import FORGOTTEN_SECONDS, FRESH_SECONDS, Report, Reports
from openmic.cluster.status import MOST_CHARACTERS, from_report, to_report, together
from openmic.notebook.status import Moment, SessionStatus, Status
from openmic.server.access.connections import Connections
from openmic.server.access.gate import Gate
from openmic.server.access.tokens import TokenStore
from openmic.sessions.registry import Sessions
from openmic.settings import Settings
from tests.support.scripted_engine import ScriptedEngine


def status_of(**more: object) -> Status:
    return Status("running", "", "", "tiny", "cpu", **{"busy": 0.5, "memory_bytes": 10, "sessions": (), **more})  # type: ignore[arg-type]


def session_of(name: str, state: str = "receiving", text: str = "said") -> SessionStatus:
    return SessionStatus(name, state, True, 3.0, 0.5, text, "live", None, "")


def report_of(replica: str, **more: object) -> Report:
    told = Report(replica, os.getpid(), "host", time.time(), "tiny", "cpu", 4, 1, False, to_report(status_of()), "")
    return replace(told, **more)  # type: ignore[arg-type]


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    reports, told = Reports(tmp_path), report_of("one", metrics="# words\n")
    reports.write(told)
    reports.write(report_of("two"))
    assert [report.replica for report in reports.read()] == ["one", "two"]
    read = reports.read()[0]
    assert replace(read, status={}) == replace(told, status={})
    assert from_report(read.status) == from_report(told.status)
    (file,) = tmp_path.glob("replicas/one.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    reports.remove("one")
    assert [report.replica for report in reports.read()] == ["two"]


def test_one_that_is_silent_is_gone_and_forgotten_later(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    reports.write(report_of("fresh"))
    reports.write(report_of("silent", at=time.time() - FRESH_SECONDS - 1))
    reports.write(report_of("old", at=time.time() - FORGOTTEN_SECONDS - 1))
    assert [report.replica for report in reports.read()] == ["fresh"]
    assert sorted(path.stem for path in tmp_path.glob("replicas/*.json")) == ["fresh", "silent"]


@pytest.mark.parametrize("content", ["", "{", '{"replica": "other"}', "[]"])
def test_what_is_no_report_keeps_nobody_from_reading(tmp_path: Path, content: str) -> None:
    reports = Reports(tmp_path)
    reports.write(report_of("one"))
    (tmp_path / "replicas" / "broken.json").write_text(content)
    assert [report.replica for report in reports.read()] == ["one"]


def test_metrics_have_the_replica_as_a_label(tmp_path: Path) -> None:
    settings, engine = Settings(data_dir=tmp_path), ScriptedEngine(capacity=4)
    sessions, reports = Sessions(settings, engine), Reports(tmp_path)
    try:
        metrics = ClusterMetrics(sessions, Gate(settings, TokenStore()), Connections(8), "mine", reports)
        metrics.count_error("server_full")
        theirs = metrics.own_text().decode().replace("openmic_capacity_sessions 4.0", "openmic_capacity_sessions 7.0")
        reports.write(report_of("theirs", metrics=theirs))
        lines = metrics.text().decode().splitlines()
    finally:
        sessions.close()
        engine.close()
    assert 'openmic_capacity_sessions{replica="mine"} 4.0' in lines
    assert 'openmic_capacity_sessions{replica="theirs"} 7.0' in lines
    assert 'openmic_errors_total{code="server_full",replica="mine"} 1.0' in lines
    assert lines.count("# TYPE openmic_capacity_sessions gauge") == 1
    assert all('replica="' in line for line in lines if not line.startswith("#"))


def test_a_status_comes_back_shortened() -> None:
    moment = Moment(0.0, 1, 4, 0.5, None, 0.3, 0.6)
    long = session_of("a", text="word " * 1000)
    status = status_of(sessions=(long,), history=(moment, moment), problems=("late",))
    again = from_report(to_report(status))
    assert again.history == (moment,)
    assert again.problems == ("late",)
    assert again.sessions[0].committed_text == long.committed_text[-MOST_CHARACTERS:]


def test_all_replicas_are_one_service() -> None:
    first = status_of(
        sessions=(session_of("a"), session_of("b", "ended")),
        places=4,
        history=(Moment(0.0, 1, 4, 0.2, 10, 0.3, 0.6),),
        problems=("the keeper is late",),
    )
    second = status_of(
        sessions=(session_of("b", "ended"), session_of("c")),
        places=2,
        busy=1.0,
        history=(Moment(0.0, 1, 2, 1.0, 30, 0.9, 1.5),),
        late=True,
    )
    both = together([("one", first), ("two", second)], state="running", link="L", tunnel="", speakers="6")
    assert [session.session_id for session in both.sessions] == ["a", "b", "c"]
    assert (both.speaking, both.places, both.busy, both.memory_bytes, both.late) == (2, 6, 0.75, 20, True)
    assert both.problems == ("one: the keeper is late",)
    assert both.history == (Moment(0.0, 2, 6, 0.6, 40, 0.9, 1.5),)
    nobody = together([], state="stopped", link="", tunnel="", speakers="0")
    assert (nobody.model, nobody.memory_bytes, nobody.history) == ("?", None, ())


def test_orders_hold_until_others_are_given(tmp_path: Path) -> None:
    assert read_orders(tmp_path) == Orders()
    Orders("https://example.org", ending=True).write(tmp_path)
    assert read_orders(tmp_path) == Orders("https://example.org", ending=True)
    Orders().write(tmp_path)
    assert read_orders(tmp_path) == Orders()
