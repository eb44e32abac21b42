"""docs/operations.md and the code: every metric, every event, every limit, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from openmic.log import EVENTS
from openmic.settings import Settings
from openmic.speech.types import EngineStats
from tests.support.scripted_engine import ScriptedEngine, scripted_server

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(title: str) -> list[str]:
    """The names in the first column of a section's table."""
    return re.findall(r"^\| `(\w+)` \|", section(title), re.M)


class Measured(ScriptedEngine):
    """A scripted engine on a device whose memory can be told."""

    def stats(self) -> EngineStats:
        return EngineStats(
            streams=0, busy=0.25, step_seconds=0.1, batch_size=1, lag_seconds=0.5, memory_bytes=1_000_000, capacity=4
        )


def test_every_metric_is_explained(tmp_path: Path) -> None:
    with scripted_server(tmp_path, engine=Measured()) as server:
        httpx.get(server.url + "/v1/nothing", headers=server.headers)
        text = httpx.get(server.url + "/metrics", headers=server.headers).text
    told = [sample.name for family in text_string_to_metric_families(text) for sample in family.samples]
    assert set(rows("Metrics")) == set(told)
    for family in text_string_to_metric_families(text):
        assert family.documentation.endswith("."), family.name


def test_every_event_is_explained() -> None:
    assert len(rows("The log")) == len(EVENTS)
    assert set(rows("The log")) == EVENTS


def test_every_setting_that_is_named_exists_and_every_limit_is_told() -> None:
    named = set(re.findall(r"`(max_\w+|\w+_seconds|log_\w+|allowed_origins|\w*token)`", PAGE))
    known = set(Settings.model_fields)
    named = {name for name in named if not name.startswith("openmic_")}
    assert named - known <= {"next_try_seconds", "audio_seconds", "resume_token"}
    limits = {name for name in known if name.startswith("max_")}
    assert limits <= set(re.findall(r"`(\w+)`", section("Limits")))
