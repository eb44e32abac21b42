"""Decoding in processes of their own: the same samples, and nothing that one stream does reaches another."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest

from openmic.audio.decoder import AudioFormat, decode
from openmic.audio.decoder_child import DecoderLimits
from openmic.audio.decoder_processes import DecoderProcesses
from openmic.errors import OpenmicError
from tests.support import media
from tests.support.bombs import BOMBS, MEGABYTE
from tests.support.processes import Peak, children, peak_bytes
from tests.support.waiting import wait_until

AUTO = AudioFormat()
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recording(sample_audio: Path) -> media.Recording:
    return media.read_wav(sample_audio / "quickstart.wav")[: 4 * media.RATE]


@pytest.fixture(scope="module")
def processes() -> Iterator[DecoderProcesses]:
    with DecoderProcesses() as started:
        yield started


@pytest.mark.parametrize("container", media.CONTAINERS)
def test_the_samples_are_those_of_the_decoder(
    processes: DecoderProcesses, recording: media.Recording, container: str
) -> None:
    data = media.CONTAINERS[container](recording)
    here = np.concatenate(list(decode(media.Whole(data), AUTO)))
    apart = list(processes.decode(media.Whole(data, 1), AUTO))
    assert all(piece.dtype == np.float32 for piece in apart)
    np.testing.assert_array_equal(np.concatenate(apart), here)


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "audio_empty"), (b"a letter", "audio_not_decodable"), (b"\x1aE\xdf\xa3" + bytes(99), "audio_not_decodable")],
)
def test_its_problems_are_those_of_the_decoder(processes: DecoderProcesses, data: bytes, code: str) -> None:
    with pytest.raises(OpenmicError) as here:
        list(decode(media.Whole(data), AUTO))
    with pytest.raises(OpenmicError) as apart:
        list(processes.decode(media.Whole(data), AUTO))
    assert apart.value.code == here.value.code == code
    assert (apart.value.what, apart.value.why, apart.value.hint) == (here.value.what, here.value.why, here.value.hint)


def test_what_the_source_raises_comes_after_what_was_read_before(
    processes: DecoderProcesses, recording: media.Recording
) -> None:
    class Failing(media.Whole):
        def read(self, size: int) -> bytes:
            if self.tell() > 8000:
                raise OSError("the disk is gone")
            return super().read(min(size, 4096))

    pieces = processes.decode(Failing(media.CONTAINERS["ogg"](recording)), AUTO)
    assert len(next(pieces))
    with pytest.raises(OSError, match="the disk is gone"):
        list(pieces)


def test_raw_samples_need_no_process(recording: media.Recording) -> None:
    with DecoderProcesses() as unused:
        samples = list(unused.decode(media.Whole(recording.tobytes()), AudioFormat("pcm_s16le", 16_000)))
        assert sum(map(len, samples)) == len(recording)
        assert unused.pid is None


# --- limits


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_little_and_is_an_error_for_its_session_alone(
    processes: DecoderProcesses, recording: media.Recording, name: str
) -> None:
    data, speech = BOMBS[name](), media.CONTAINERS["webm"](recording)
    bystander = processes.decode(media.Whole(speech), AUTO)
    heard = [next(bystander)]
    assert processes.pid is not None
    with Peak(os.getpid(), processes.pid) as peak:
        seconds, code = 0.0, ""
        try:
            for piece in processes.decode(media.Whole(data), AUTO):
                seconds += len(piece) / media.RATE
        except OpenmicError as error:
            code = error.code
    assert peak.more_bytes < 100 * MEGABYTE, name
    assert code in ("audio_too_costly", "audio_not_decodable", "audio_track_missing", "audio_empty")
    assert seconds < 60
    np.testing.assert_array_equal(
        np.concatenate([*heard, *bystander]), np.concatenate(list(decode(media.Whole(speech), AUTO)))
    )


@pytest.mark.slow
def test_processor_time_is_limited_and_grows_with_the_sound(recording: media.Recording) -> None:
    long = media.CONTAINERS["mp3"](recording) * 200
    with DecoderProcesses(DecoderLimits(start_seconds=1.0, sound_factor=0.0, megabyte_seconds=0.0)) as processes:
        with pytest.raises(OpenmicError) as ended:
            list(processes.decode(media.Whole(long), AUTO))
        assert ended.value.code == "audio_too_costly"
    with DecoderProcesses(DecoderLimits(start_seconds=1.0)) as processes:
        assert sum(map(len, processes.decode(media.Whole(long), AUTO))) > 700 * media.RATE


def test_a_process_that_is_killed_ends_its_stream_and_no_other(
    processes: DecoderProcesses, recording: media.Recording
) -> None:
    speech = media.CONTAINERS["webm"](recording)
    before = set(children(processes.pid))
    stream = processes.decode(media.Whole(speech), AUTO)
    next(stream)
    (victim,) = set(children(processes.pid)) - before
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(OpenmicError) as ended:
        list(stream)
    assert ended.value.code == "audio_too_costly"
    assert list(processes.decode(media.Whole(speech), AUTO))


def test_the_program_is_started_again_if_it_was_killed(recording: media.Recording) -> None:
    speech = media.CONTAINERS["ogg"](recording)
    with DecoderProcesses() as processes:
        running = processes.decode(media.Whole(speech), AUTO)
        first = next(running)
        pid = processes.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: processes._program is not None and processes._program.poll() is not None)
        assert list(processes.decode(media.Whole(speech), AUTO))
        assert processes.pid != pid
        assert len(np.concatenate([first, *running])) > 3 * media.RATE  # what was under way went on


def test_a_stream_that_nobody_follows_any_more_leaves_no_process(
    processes: DecoderProcesses, recording: media.Recording
) -> None:
    stream = processes.decode(media.Whole(media.CONTAINERS["webm"](recording)), AUTO)
    next(stream)
    assert isinstance(stream, Generator)
    stream.close()
    wait_until(lambda: not children(processes.pid))


def test_a_process_has_none_of_the_service_s_secrets(
    monkeypatch: pytest.MonkeyPatch, recording: media.Recording
) -> None:
    monkeypatch.setenv("OPENMIC_TOKEN", "very-secret")
    monkeypatch.setenv("NGROK_AUTHTOKEN", "very-secret")
    with DecoderProcesses() as processes:
        stream = processes.decode(media.Whole(media.CONTAINERS["ogg"](recording)), AUTO)
        next(stream)
        for pid in (processes.pid, *children(processes.pid)):
            for part in ("environ", "cmdline"):
                assert b"very-secret" not in Path(f"/proc/{pid}/{part}").read_bytes()


def test_no_process_outlives_a_service_that_is_killed(tmp_path: Path, recording: media.Recording) -> None:
    (tmp_path / "speech.webm").write_bytes(media.CONTAINERS["webm"](recording))
    program = (
        "import sys, time\n"
        "from openmic.audio.decoder import AudioFormat\n"
        "from openmic.audio.decoder_processes import DecoderProcesses\n"
        "from tests.support.media import Whole\n"
        "processes = DecoderProcesses()\n"
        "stream = processes.decode(Whole(open(sys.argv[1], 'rb').read()), AudioFormat())\n"
        "next(stream)\n"
        "print(processes.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "speech.webm")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        pid = int(service.stdout.readline())
        both = [pid, *children(pid)]
        assert len(both) == 2
        service.kill()
    wait_until(lambda: not [one for one in both if _runs(one)])


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return False


def test_many_streams_at_once(processes: DecoderProcesses, recording: media.Recording) -> None:
    speech = media.CONTAINERS["webm"](recording)
    expected = np.concatenate(list(decode(media.Whole(speech), AUTO)))
    heard: list[np.ndarray] = []

    def follow() -> None:
        heard.append(np.concatenate(list(processes.decode(media.Whole(speech, 3), AUTO))))

    threads = [threading.Thread(target=follow) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(heard) == 8
    assert all(np.array_equal(one, expected) for one in heard)


def test_the_program_loads_no_torch_and_costs_little(processes: DecoderProcesses, recording: media.Recording) -> None:
    stream = processes.decode(media.Whole(media.CONTAINERS["webm"](recording)), AUTO)
    next(stream)
    assert processes.pid is not None
    assert b"torch" not in Path(f"/proc/{processes.pid}/maps").read_bytes()
    assert peak_bytes(processes.pid) < 100 * MEGABYTE
    assert isinstance(stream, Generator)
    stream.close()
