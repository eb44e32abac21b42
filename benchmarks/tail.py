"""What the decoder has to attend to behind a short window.

    python -m benchmarks.tail [--models base,tiny.en] [--precision float32]

Every shared recording of at most 14 s is decoded greedily, once with the full 30 s window and once with each length of
the silent tail behind its own states. Prints the WER over all recordings and the encoder's time for each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any, cast

import jiwer
import torch
import whisper
from whisper.normalizers import EnglishTextNormalizer

from benchmarks.recordings import Clip, jfk_clip, reading_clips, sample_clips, shared_folder
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.settings import Settings
from openmic.speech import encoder
from openmic.speech.decoder import Decoder
from openmic.speech.encoder import Window, WindowEncoder
from openmic.speech.hypothesis import HypothesisDecoder, Request
from openmic.speech.precision import Precision
from openmic.speech.vocabulary import Vocabulary
from openmic.speech.weights import locate

TAILS = (0, 25, 50, 100, 200, 400, 1500)  # states
LONGEST_SECONDS = 14.0


class FullEncoder:
    """openai-whisper's encoder: always 30 s."""

    def __init__(self, model: Any, decoder: Decoder) -> None:
        self._model, self._decoder = model, decoder

    def window(self, samples: Samples) -> Window:
        """See ``WindowEncoder.window``."""
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(samples), self._model.dims.n_mels)
        return Window(self._decoder.cross_keys(self._model.encoder(mel[None])[0]), len(samples) // 320 + 25)


class Timed:
    """An encoder whose time is added up."""

    def __init__(self, inner: WindowEncoder | FullEncoder) -> None:
        self._inner = inner
        self.seconds = 0.0

    def window(self, samples: Samples) -> Window:
        """See ``WindowEncoder.window``."""
        began = time.perf_counter()
        window = self._inner.window(samples)
        self.seconds += time.perf_counter() - began
        return window


def row(name: str, inner: WindowEncoder | FullEncoder, decoder: Decoder, model: Any, clips: Sequence[Clip]) -> str:
    """Decode all clips with one construction."""
    normalize = EnglishTextNormalizer()
    timed = Timed(inner)
    live = HypothesisDecoder(cast(WindowEncoder, timed), decoder, Vocabulary(model))
    said, loops = [], 0
    for clip in clips:
        found = live.step([Request(clip.samples, 0.0, "en", "transcribe")])[0]
        said.append(normalize("".join(word.text for word in found.words)) or "nothing")
        loops += found.looped
    wer = jiwer.wer([normalize(clip.text) for clip in clips], said)
    return f"| {name} | {100 * wer:.1f} | {loops} | {1000 * timed.seconds / len(clips):.0f} |"


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="base,tiny.en")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    arguments = parser.parse_args()
    precision: Precision = arguments.precision
    folder = shared_folder()
    clips = [*reading_clips(folder), jfk_clip(folder)] if folder else sample_clips()
    clips = [clip for clip in clips if len(clip.samples) <= LONGEST_SECONDS * SAMPLE_RATE]
    torch.set_grad_enabled(False)
    for name in arguments.models.split(","):
        model = whisper.load_model(str(locate(name, Settings().cache_dir)), device="cpu").requires_grad_(False)
        model.set_alignment_heads(whisper._ALIGNMENT_HEADS[name])
        decoder = Decoder(model, precision)
        print(f"\n{name}, {precision}, {len(clips)} clips of 2 to {LONGEST_SECONDS:.0f} s\n")
        print("| the decoder attends to | WER % | loops | encoder ms |\n| --- | --- | --- | --- |")
        print(row("the full 30 s window", FullEncoder(model, decoder), decoder, model, clips), flush=True)
        window_encoder = WindowEncoder(model, decoder, precision)
        for states in TAILS:
            encoder.TAIL_STATES = states
            what = f"the window and {states} states of the tail" if states < 1500 else "the window and all of the tail"
            print(row(what, window_encoder, decoder, model, clips), flush=True)


if __name__ == "__main__":
    main()
