"""One batch transcription by faster-whisper; run by the Python of its own environment, so nothing of ours is imported.

    python batch_faster_whisper.py MODEL_FOLDER FILE.wav LANGUAGE

Prints one line of JSON: text, seconds, cpu_seconds, peak_bytes.
"""

from __future__ import annotations

import json
import resource
import sys
import time


def main() -> None:
    """Transcribe and print."""
    from faster_whisper import WhisperModel

    folder, file, language = sys.argv[1:]
    model = WhisperModel(folder, device="cpu", compute_type="int8", local_files_only=True)
    began, cpu_began = time.monotonic(), time.process_time()
    segments, _ = model.transcribe(file, language=language or None, beam_size=1)
    text = "".join(segment.text for segment in segments)
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
