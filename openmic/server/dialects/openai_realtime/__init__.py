"""OpenAI's Realtime API, transcription sessions (``/v1/realtime``)."""
