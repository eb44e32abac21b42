"""Is the progressive final as right as whisper.transcribe of the whole file?

    python -m benchmarks.accuracy [--model base]

Every recording alone, and all readings joined; each is heard a second at a time, as a live session is. Prints the WER
of both, whether text and tokens are the same, and what either cost in processor seconds.
"""

from __future__ import annotations

import argparse
import time
import warnings

import torch
import whisper

from benchmarks.live_quality import GrowingRecording
from benchmarks.measures import word_error_rate
from benchmarks.reading import joined_samples
from benchmarks.recordings import Clip, jfk_clip, reading_clips, sample_clips, shared_folder
from openmic.audio.types import SAMPLE_RATE
from openmic.settings import Settings
from openmic.speech.engine import WhisperEngine
from openmic.speech.final import FinalPass
from openmic.speech.load import load_engine
from openmic.speech.types import FinalText, SpeechOptions


def progressive(engine: WhisperEngine, clip: Clip) -> FinalText:
    """Walk a recording while it grows by a second at a time."""
    heard = GrowingRecording(clip.samples)
    final = FinalPass(engine._final, heard, SpeechOptions())
    walk = final.walk()
    with torch.inference_mode():
        while heard.length < len(clip.samples):
            heard.length = min(heard.length + SAMPLE_RATE, len(clip.samples))
            for pause in walk:
                if pause == "waiting":
                    break
        final.ended = True
        for _ in walk:
            pass
    return final.result()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="base")
    model = parser.parse_args().model
    warnings.filterwarnings("ignore", module="whisper")
    folder = shared_folder()
    reading = reading_clips(folder) if folder else []
    clips = [*sample_clips(), *([jfk_clip(folder)] if folder else []), *reading]
    if reading:
        clips.append(Clip("reading, joined", joined_samples(reading), " ".join(clip.text for clip in reading)))
    engine = load_engine(Settings(model=model))
    print(f"{model} on {engine.info.device}, {engine.info.dtype}; openai-whisper {whisper.__version__}")
    print(
        "| recording | s | WER % openmic final | WER % whisper.transcribe | same text | same tokens | CPU s | CPU s |"
    )
    print("| --- " * 8 + "|")
    words = [0, 0.0, 0.0]
    for clip in clips:
        began = time.process_time()
        ours = progressive(engine, clip)
        middle = time.process_time()
        theirs = whisper.transcribe(
            engine._final.model, clip.samples, word_timestamps=True, fp16=engine.info.dtype == "float16"
        )
        ended = time.process_time()
        mine, other = word_error_rate(clip.text, ours.text), word_error_rate(clip.text, theirs["text"])
        same = [list(s.tokens) for s in ours.segments] == [s["tokens"] for s in theirs["segments"]]
        count = len(clip.text.split())
        words = [words[0] + count, words[1] + mine * count, words[2] + other * count]
        print(
            f"| {clip.name} | {clip.seconds:.0f} | {100 * mine:.1f} | {100 * other:.1f} "
            f"| {'yes' if ours.text == theirs['text'] else 'no'} | {'yes' if same else 'no'} "
            f"| {middle - began:.1f} | {ended - middle:.1f} |",
            flush=True,
        )
    print(f"| all | | {100 * words[1] / words[0]:.2f} | {100 * words[2] / words[0]:.2f} | | | | |")
    engine.close()


if __name__ == "__main__":
    main()
