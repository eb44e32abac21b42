"""Whisper: from samples to words."""
