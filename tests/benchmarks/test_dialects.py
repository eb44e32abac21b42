"""The benchmark of the dialects: over the scripted engine in place of Whisper, with few words."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from benchmarks.corpus.recordings import sample_clips
from benchmarks.dialects import added_row
from benchmarks.realtime.added_delay import Heard, final_delays, timed_server, word_delays
from benchmarks.realtime.end_of_speech import WAYS, Segments, Utterance, Way, measure, utterances
from benchmarks.realtime.service import Service
from benchmarks.realtime.wires import WIRES, assemblyai, deepgram, native
from openmic.audio.types import SAMPLE_RATE
from openmic.audio.vad import PAD
from tests.support.scripted_engine import ScriptedServer, scripted_server

TONE = (np.sin(np.arange(SAMPLE_RATE) / 10) * 0.25).astype(np.float32)
AT_ONCE = WAYS[-1]


@pytest.mark.slow
def test_every_wire_is_told_every_word_after_it_was_said() -> None:
    with timed_server() as server:
        heard = asyncio.run(word_delays(server, [make(0.6) for make in WIRES], TONE, words=3, speed=10.0))
        finals = asyncio.run(final_delays(server, 2))
    assert [len(one.delays) for one in heard] == [3] * len(WIRES)
    assert [len(one.delays) for one in finals] == [2, 2]
    assert all(0 < delay < 60 for one in (*heard, *finals) for delay in one.delays)


def test_a_row_has_what_a_wire_adds_word_by_word() -> None:
    base = Heard("native", delays=[0.001, 0.100, 0.003])
    other = Heard("other", delays=[0.003, 0.101, 0.006])
    assert added_row(base, None) == "| native | 3.0 | 90.3 | - | - |"
    assert added_row(other, base).startswith("| other | 6.0 | 91.5 | 2.0 | ")


def test_utterances_end_where_their_voice_does() -> None:
    clips = [clip for clip in sample_clips() if clip.name == "quickstart"]
    found = utterances(clips, 40)
    assert len(found) >= 3
    for utterance in found:
        assert len(utterance.samples) / SAMPLE_RATE - utterance.end_seconds == pytest.approx(
            PAD / SAMPLE_RATE, abs=0.001
        )
        loud = np.flatnonzero(np.abs(utterance.samples) > 0.02)
        assert abs(loud[-1] / SAMPLE_RATE - utterance.end_seconds) < 0.2
    assert [len(one.samples) for one in utterances(clips, 2)] == [
        len(found[0].samples),
        len(found[len(found) // 2].samples),
    ]


def spoken_over(server: ScriptedServer, way: Way, seconds: float) -> tuple[list[Segments], list[str]]:
    """A tone, whose end the scripted engine does not hear by itself, in one way over the wires that are compared."""
    tone = Utterance(np.resize(TONE, round(seconds * SAMPLE_RATE)), seconds)
    service = Service(server.thread.port, server.token, pid=0)
    wires = [make(0.3) for make in (native, deepgram, assemblyai)]
    return asyncio.run(measure(service, wires, [tone], [way]))


@pytest.mark.slow
def test_a_segment_is_timed_from_the_end_of_speech(tmp_path: Path) -> None:
    with scripted_server(tmp_path) as server:
        results, finals = spoken_over(server, AT_ONCE, 1.5)
    assert [result.wire for result in results] == ["native", "Deepgram v1", "AssemblyAI v3"]
    for result in results:
        assert result.texts == ["one two"]
        assert 0 < result.delays[0] < 60
        assert result.markdown(["one two"]).startswith(f"| {result.wire}; {AT_ONCE.name} | ")
        assert result.markdown(["one two"]).endswith(" | 0 | 0.0 |")
    assert finals[0].startswith(" heard ")


@pytest.mark.slow
def test_a_segment_that_does_not_come_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.realtime.end_of_speech.SEGMENT_SECONDS", 0.5)
    with scripted_server(tmp_path) as server:
        results, _ = spoken_over(server, WAYS[0], 1.5)
    assert [(result.delays, result.missing) for result in results] == [([], 1)] * 3
    assert " | 1 | " in results[0].markdown(["one two"])
