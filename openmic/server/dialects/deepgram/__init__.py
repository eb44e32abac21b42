"""Deepgram's live and prerecorded interfaces, v1 and v2 (developers.deepgram.com/reference)."""
