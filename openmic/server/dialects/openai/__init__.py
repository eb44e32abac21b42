"""OpenAI's transcription requests over HTTP."""
