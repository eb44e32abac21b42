"""One batch transcription by openai-whisper, in a process of its own.

    python -m benchmarks.peers.batch_openai_whisper WEIGHTS.pt FILE.wav LANGUAGE [words]

``words`` asks for word times, which also changes where the windows begin, and with it some of the text. Prints one
line of JSON: text, seconds, cpu_seconds, peak_bytes.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import whisper

from benchmarks.corpus.recordings import load


def main() -> None:
    """Transcribe and print."""
    weights, file, language, *words = sys.argv[1:]
    model = whisper.load_model(weights, device="cpu")
    samples = load(Path(file))
    began, cpu_began = time.monotonic(), time.process_time()
    text = model.transcribe(samples, language=language or None, fp16=False, word_timestamps=bool(words))["text"]
    print(
        json.dumps(
            {
                "text": text,
                "seconds": time.monotonic() - began,
                "cpu_seconds": time.process_time() - cpu_began,
                "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
