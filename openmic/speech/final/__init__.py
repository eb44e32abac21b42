"""The final pass: the whole recording, window by window, as ``whisper.transcribe`` does it."""
