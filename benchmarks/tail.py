"""What the decoder has to attend to behind a short window.

    python -m benchmarks.tail [--models base,tiny.en] [--languages en,de] [--precisions float32,bfloat16] [--cuts 24]
    python -m benchmarks.tail --tails

Windows of 0.5 to 15 s, cut at word boundaries out of the readings, are decoded greedily: once with openai-whisper's
full 30 s window, once with the silent tail behind the window's own states, once so with the states of its older part
kept from earlier steps, as a live stream has them, and the shortest once more with silence up to ``LEAST_SECONDS``
before the tail. Prints WER, loops and the encoder's processor time. With ``--tails`` the tail's length is what
changes, over all single recordings.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import jiwer
import numba
import numpy as np
import torch
import whisper
from whisper.model import Whisper

from benchmarks.corpus.cuts import cuts
from benchmarks.corpus.reading import Reading, german_reading, load_reading
from benchmarks.corpus.recordings import Clip, jfk_clip, reading_clips, sample_clips, shared_folder
from benchmarks.metrics.display import normalizer
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.settings import Settings
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.live.hypothesis import StepInput
from openmic.speech.load import load_whisper
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.encoder import EncoderCache
from openmic.speech.model.linear import Precision
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.model.units import STATE_SAMPLES
from openmic.speech.model.window_encoder import PAD_SECONDS, Window, WindowEncoder
from openmic.speech.weights.locate import locate

WINDOW_SECONDS = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 15.0)
STEP_SECONDS = 1.0  # by which a window grows where its older states are kept
LEAST_SECONDS = 2.0  # up to which a shorter window is filled with silence
TAILS = (0, 25, 50, 100, 200, 400, 1500)  # states
LONGEST_SECONDS = 14.0  # of a recording that is decoded in one piece

Encode = Callable[[Samples], Window]


class FullEncoder:
    """openai-whisper's encoder: always 30 s."""

    def __init__(self, model: Any, decoder: Decoder, precision: Precision) -> None:
        self._model, self._decoder = model, decoder
        self._dtype: torch.dtype = getattr(torch, precision)

    def window(self, samples: Samples) -> Window:
        """See ``WindowEncoder.window``."""
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(samples), self._model.dims.n_mels)
        states = self._model.encoder(mel[None].to(self._dtype))[0].to(self._decoder.dtype)
        return Window(self._decoder.cross_attention_kv(states), round(len(samples) / STATE_SAMPLES + PAD_SECONDS * 50))


@dataclass(slots=True)
class Construction:
    """One way to encode a window, and the processor seconds of it so far."""

    encode: Encode
    seconds: float = 0.0

    def windows(self, samples: Sequence[Samples], settled: Sequence[EncoderCache | None]) -> list[Window]:
        """See ``WindowEncoder.windows``."""
        return [self.window(*pair) for pair in zip(samples, settled, strict=True)]

    def window(self, samples: Samples, settled: EncoderCache | None = None) -> Window:
        """See ``WindowEncoder.window``; what is kept from earlier steps is this construction's own affair."""
        began = time.process_time()
        window = self.encode(samples)
        self.seconds += time.process_time() - began
        return window


@dataclass(slots=True)
class Grown(Construction):
    """The window after it has grown in steps, with the states of its older part kept; only the last step is timed."""

    inner: WindowEncoder | None = None

    def window(self, samples: Samples, settled: EncoderCache | None = None) -> Window:
        """See ``Construction.window``."""
        assert self.inner is not None
        kept = EncoderCache()
        step = round(STEP_SECONDS * SAMPLE_RATE)
        for end in range(len(samples) % step or step, len(samples), step):
            self.inner.window(samples[:end], kept)
        began = time.process_time()
        window = self.inner.window(samples, kept)
        self.seconds += time.process_time() - began
        return window


def filled(samples: Samples) -> Samples:
    """The window with silence behind it up to ``LEAST_SECONDS``."""
    return np.pad(samples, (0, max(0, round(LEAST_SECONDS * SAMPLE_RATE) - len(samples))))


@dataclass(frozen=True, slots=True)
class Found:
    """What one construction gave over some windows: WER as a fraction, loops, encoder seconds of a window."""

    wer: float
    loops: int
    encoder_seconds: float

    def __str__(self) -> str:
        return f"{100 * self.wer:.1f} | {self.loops} | {1000 * self.encoder_seconds:.0f}"


def decoded(construction: Construction, decoder: Decoder, model: Any, clips: Sequence[Clip]) -> Found:
    """Decode all clips with one construction."""
    live = LiveStepDecoder(cast(WindowEncoder, construction), decoder, Vocabulary(model))
    construction.seconds = 0.0
    said, references, loops = [], [], 0
    for clip in clips:
        normalize = normalizer(clip.language)
        found = live.step([StepInput(clip.samples, 0.0, clip.language, "transcribe")])[0]
        said.append(normalize("".join(word.text for word in found.words)) or "nothing")
        references.append(normalize(clip.text))
        loops += found.looped
    return Found(jiwer.wer(references, said), loops, construction.seconds / len(clips))


def by_window(name: str, reading: Reading, precision: Precision, most: int) -> None:
    """Print the table of one model, language and precision over the length of the window."""
    model = loaded(name)
    decoder = Decoder(model, precision)
    window_encoder = WindowEncoder(model, decoder, precision)
    constructions = {
        "full 30 s": Construction(FullEncoder(model, decoder, precision).window),
        "window and tail": Construction(window_encoder.window),
        "the same, old states kept": Grown(window_encoder.window, inner=window_encoder),
        f"filled to {LEAST_SECONDS:g} s": Construction(lambda samples: window_encoder.window(filled(samples))),
    }
    print(f"\n{name}, {reading.language}, {precision}, up to {most} windows of each length\n")
    head = " | ".join(f"{what}: WER % | loops | encoder ms" for what in constructions)
    print(f"| window s | windows | {head} |\n" + "| --- " * (2 + 3 * len(constructions)) + "|")
    for seconds in WINDOW_SECONDS:
        clips = cuts(reading, seconds, most)
        if not clips:
            continue
        told = [
            construction
            for what, construction in constructions.items()
            if seconds < LEAST_SECONDS or "filled" not in what
        ]
        cells = [str(decoded(construction, decoder, model, clips)) for construction in told]
        cells += ["- | - | -"] * (len(constructions) - len(cells))
        print(f"| {seconds:g} | {len(clips)} | {' | '.join(cells)} |", flush=True)


def by_tail(name: str, precision: Precision) -> None:
    """Print the table of one model over the length of the tail."""
    folder = shared_folder()
    clips = [*reading_clips(folder), jfk_clip(folder)] if folder else sample_clips()
    clips = [clip for clip in clips if clip.seconds <= LONGEST_SECONDS]
    model = loaded(name)
    decoder = Decoder(model, precision)
    print(f"\n{name}, {precision}, {len(clips)} clips of 2 to {LONGEST_SECONDS:.0f} s\n")
    print("| the decoder attends to | WER % | loops | encoder ms |\n| --- | --- | --- | --- |")
    full = Construction(FullEncoder(model, decoder, precision).window)
    print(f"| the full 30 s window | {decoded(full, decoder, model, clips)} |", flush=True)
    for states in TAILS:
        spliced = Construction(WindowEncoder(model, decoder, precision, states).window)
        what = f"the window and {states} states of the tail" if states < 1500 else "the window and all of the tail"
        print(f"| {what} | {decoded(spliced, decoder, model, clips)} |", flush=True)


def loaded(name: str, device: str = "cpu") -> Whisper:
    """openai-whisper's model object."""
    return load_whisper(name, locate(name, Settings().cache_dir), device)


def main() -> None:
    """Print a table for each model, language and precision."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tail", description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="base,tiny.en")
    parser.add_argument("--languages", default="en,de", help="of the readings; models ending in .en read English alone")
    parser.add_argument("--precisions", default="float32", help="float32, bfloat16, float16 (slow on a processor)")
    parser.add_argument("--cuts", type=int, default=24, help="windows of each length at most")
    parser.add_argument("--tails", action="store_true", help="change the tail's length, not the window's")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    precisions = cast(list[Precision], arguments.precisions.split(","))
    if arguments.tails:
        for name in arguments.models.split(","):
            for precision in precisions:
                by_tail(name, precision)
        return
    wanted = arguments.languages.split(",")
    readings = [reading for reading in (load_reading(), german_reading()) if reading.language in wanted]
    for precision in precisions:
        for name in arguments.models.split(","):
            for reading in readings:
                if reading.language == "en" or not name.endswith(".en"):
                    by_window(name, reading, precision, arguments.cuts)


if __name__ == "__main__":
    main()
