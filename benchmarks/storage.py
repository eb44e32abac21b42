"""What an hour of speech takes on the server's disk, and what it costs to keep it so.

    python -m benchmarks.storage

The reading is sent as a client would send it (messages of 0.1 s, blobs of 0.25 s for a browser's container) into a
session's real files, and decoded from there. Prints megabytes an hour: as it was sent, in the journal and in the
recording while the session runs, and in both once it has ended; processor milliseconds that a second of audio costs to
be written, and to be packed at the end; and how many hours an hour of processor time reads again after a crash, up to
the recording.
"""

from __future__ import annotations

import io
import tempfile
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.corpus.recordings import reading_clips, sample_clips, shared_folder
from openmic.audio.decoder import AudioFormat, decode
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.sessions.storage.folder import SessionFiles
from openmic.sessions.storage.holder import Holder
from openmic.sessions.storage.journal import Journal
from openmic.sessions.storage.names import JOURNAL, RECORDING
from openmic.sessions.storage.recording import GROWING
from openmic.sessions.storage.replay import OpenedEntry
from openmic.speech.types import SpeechOptions

MESSAGE_SECONDS = 0.1
GAP_SECONDS = 0.25  # between the clips of the reading
NOISE = 3e-4  # of the second channel, full scale 1: two microphones are never the same
BROWSER_BIT_RATE = 128_000  # what Chrome's MediaRecorder chooses for a microphone
SPEECH_BIT_RATE = 32_000  # what is plenty for speech


@dataclass(frozen=True, slots=True)
class Sent:
    """A recording as a client sends it: messages of equal length."""

    name: str
    audio_format: AudioFormat
    data: bytes
    seconds: float

    def messages(self) -> Iterator[bytes]:
        """What comes in one message each."""
        size = (
            max(1, round(len(self.data) * MESSAGE_SECONDS / self.seconds)) | 1
        )  # odd: it cuts samples, as networks do
        for start in range(0, len(self.data), size):
            yield self.data[start : start + size]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one recording took: bytes, and processor seconds."""

    sent: int
    journal: int
    growing: int
    kept: int
    write_seconds: float
    read_seconds: float
    pack_seconds: float


def measure(sent: Sent) -> Cost:
    """Send it into a session's files, decode it from there, read it again, and end it."""
    opened = OpenedEntry("0" * 32, "", 0.0, False, SpeechOptions(), sent.audio_format)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / opened.id
        holder = Holder(Path(place), lease_seconds=300.0)
        files = SessionFiles.create(folder, opened, holder)
        began = time.process_time()
        for message in sent.messages():
            files.journal.append(message)
        write_seconds = time.process_time() - began
        journal = (folder / JOURNAL).stat().st_size
        files.journal.close()
        began = time.process_time()
        again = Journal.look_into(folder / JOURNAL)
        for samples in decode(again.reader(), sent.audio_format):
            files.recording.append(samples)
        read_seconds = time.process_time() - began
        again.close()
        growing = (folder / (RECORDING + GROWING)).stat().st_size
        began = time.process_time()
        files.recording.pack()
        pack_seconds = time.process_time() - began
        kept = (folder / RECORDING).stat().st_size
        holder.close()
    return Cost(len(sent.data), journal, growing, kept, write_seconds, read_seconds, pack_seconds)


def reading() -> Samples:
    """The shared reading, or the project's own recordings, with pauses between them."""
    folder = shared_folder()
    clips = reading_clips(folder) if folder is not None else sample_clips()
    gap = np.zeros(round(GAP_SECONDS * SAMPLE_RATE), np.float32)
    return np.concatenate([piece for clip in clips for piece in (clip.samples, gap)])


def ways(samples: Samples) -> list[Sent]:
    """The reading in each way that a client may send it."""
    seconds = len(samples) / SAMPLE_RATE
    mono = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2")
    wide = _resampled(samples, 48_000)
    noise = np.random.default_rng(1).normal(0, NOISE, (2, len(wide))).astype(np.float32)
    stereo = np.clip((np.stack([wide, 0.9 * wide]) + noise) * 32768, -32768, 32767).astype("<i2").T
    floats = (samples * 0.7).astype("<f4")  # after any gain, no whole numbers of 16 bits
    auto, pcm = AudioFormat(), AudioFormat("pcm_s16le", SAMPLE_RATE, 1)
    return [
        Sent("raw 16-bit, 16 kHz, mono", pcm, mono.tobytes(), seconds),
        Sent("raw float, 16 kHz, mono", AudioFormat("pcm_f32le", SAMPLE_RATE, 1), floats.tobytes(), seconds),
        Sent("WAV, 48 kHz, stereo", auto, _wav(stereo), seconds),
        Sent("WebM/Opus, 128 kbit/s", auto, _webm(mono, BROWSER_BIT_RATE), seconds),
        Sent("WebM/Opus, 32 kbit/s", auto, _webm(mono, SPEECH_BIT_RATE), seconds),
    ]


def _resampled(samples: Samples, rate: int) -> Samples:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    wide: Samples = np.concatenate([one.to_ndarray()[0] for one in frames])
    return wide


def _wav(stereo: NDArray[np.int16]) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((2, 2, 48_000, 0, "NONE", ""))
        sound.writeframes(stereo.tobytes())
    return file.getvalue()


def _webm(mono: NDArray[np.int16], bit_rate: int) -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format="webm", options={"live": "1", "cluster_time_limit": "250"}) as file:
        track = file.add_stream("libopus", rate=48_000, layout="mono")
        track.bit_rate = bit_rate
        resampler = av.AudioResampler("flt", "mono", 48_000, 960)
        frame = av.AudioFrame.from_ndarray(mono[np.newaxis].astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for ready in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(track.encode(ready))
        file.mux(track.encode(None))
    return target.getvalue()


def main() -> None:
    """Print the table."""
    samples = reading()
    seconds = len(samples) / SAMPLE_RATE
    print(f"{seconds:.0f} s of reading\n")
    sizes_told = "sent, MB/h | journal, MB/h | recording, MB/h | kept once ended, MB/h"
    print(f"| sent as | {sizes_told} | write, ms/s | read again, x | pack at the end, ms/s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for sent in ways(samples):
        cost = measure(sent)
        sizes = (cost.sent, cost.journal, cost.growing, cost.kept)  # the client's bytes are dropped at the end
        row = [sent.name, *(f"{size / seconds * 3600 / 1e6:.0f}" for size in sizes)]
        row += [f"{cost.write_seconds / seconds * 1000:.1f}", f"{seconds / cost.read_seconds:.0f}"]
        row.append(f"{cost.pack_seconds / seconds * 1000:.1f}")
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
