"""Whisper's network and tokens, as both passes use them."""
