"""What every test may ask for, and what its marks allow it. Real weights, real audio; nothing here is faked."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: workers share the cores, and so do their children
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from openmic.audio.types import Samples
from openmic.settings import Settings
from tests import marks

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent

# A busy machine is no fault of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help=f"leave out what is marked {', '.join(marks.NOT_QUICK)}")
    parser.addoption("--cluster", action="store_true", help="collect tests/cluster, too, which needs Ray")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path == TESTS / "cluster" and not config.getoption("cluster") else None


@pytest.hookimpl(tryfirst=True)  # before pytest itself looks at -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    marks.add_by_fixture(items)
    if config.getoption("quick"):
        left_out = [item for item in items if marks.of(item) & {*marks.NOT_QUICK}]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: marks.place_in_line(item.path.relative_to(TESTS).as_posix()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with marks.held_to(marks.of(item)):
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "gpu" in marks.of(item) and not marks.gpu_is_there():
        pytest.skip("needs a GPU")


@pytest.fixture(scope="session")
def sample_audio() -> Path:
    """The project's own recordings; beside each NAME.wav (or .flac) stands its exact text in NAME.txt."""
    return ROOT / "sample_audio"


@pytest.fixture(scope="session")
def shared_audio() -> Path | None:
    """More recordings, where a checkout has them beside it (or OPENMIC_SHARED_AUDIO names them); else None."""
    folder = Path(os.environ.get("OPENMIC_SHARED_AUDIO") or ROOT.parent / "shared" / "audio")
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def load_audio() -> Callable[[Path], Samples]:
    """Read any recording as 16 kHz mono float32, the way ``whisper.load_audio`` would (through 16-bit samples)."""

    def load(path: Path) -> Samples:
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
            frames = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
            frames += resampler.resample(None)
        return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32) / 32768.0

    return load


@pytest.fixture(scope="session")
def base_model() -> Any:
    """openai-whisper's model object with the real ``base`` weights, on the CPU."""
    from openmic.speech.load import load_whisper
    from openmic.speech.weights.locate import locate

    return load_whisper("base", locate("base", Settings().cache_dir), "cpu")


@pytest.fixture(scope="session")
def final_model(base_model: Any) -> Any:
    """What final passes work with: the real ``base`` weights, on the CPU."""
    from openmic.speech.final.walk import FinalModel
    from openmic.speech.model.decoder import Decoder
    from openmic.speech.model.full_encoder import FullEncoder
    from openmic.speech.model.tokens import Vocabulary

    exact, quick = Decoder(base_model, "float32"), Decoder(base_model, "int8")
    return FinalModel("base", base_model, FullEncoder(base_model, "float32"), exact, Vocabulary(base_model), quick)


@pytest.fixture(scope="session")
def engine_parts() -> Any:
    """What an engine with the real ``base`` weights works with, and what it costs."""
    from openmic.speech.load import load_parts

    return load_parts(Settings(model="base"))


@pytest.fixture(scope="session")
def engine(engine_parts: Any) -> Iterator[Any]:
    """A running engine with the real ``base`` weights, which does not measure again; it ends with all tests."""
    from openmic.speech.engine.thread import WhisperEngine

    settings, (parts, costs) = Settings(), engine_parts
    engine = WhisperEngine(parts, settings.live_step_seconds, settings.live_window_seconds, costs)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def word_error_rate() -> Callable[[str, str], float]:
    """WER of a text against its reference, both through Whisper's English normalizer; 0.05 is 5 %."""
    import jiwer
    from whisper.normalizers import EnglishTextNormalizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves a file of its package to the garbage collector
        normalize = EnglishTextNormalizer()
    return lambda reference, text: float(jiwer.wer(normalize(reference), normalize(text) or "nothing"))


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    """The browser's driver. No other event loop can run in the thread while it lives, so it ends with the module."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def chrome(playwright: Any) -> Iterator[Any]:
    """Debian's Chromium with a microphone that plays a recording."""
    from tests.support.browser import browser

    with browser(playwright) as launched:
        yield launched
