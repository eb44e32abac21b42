"""Containers and codecs, resampling, voice activity: from bytes to 16 kHz mono float32."""
