"""Whisper's units of audio and the thresholds that its decoding is built on; each is defined once, here.

Whisper's encoder turns 10 ms mel frames into 20 ms states. ``frame`` alone is said of neither.
"""

from __future__ import annotations

from whisper.audio import FRAMES_PER_SECOND, HOP_LENGTH, N_SAMPLES_PER_TOKEN, TOKENS_PER_SECOND

MEL_FRAMES_PER_SECOND = FRAMES_PER_SECOND
MEL_FRAME_SAMPLES = HOP_LENGTH
STATE_SAMPLES = N_SAMPLES_PER_TOKEN
STATE_SECONDS = 1 / TOKENS_PER_SECOND  # and of a step of Whisper's timestamp tokens
MEL_FRAMES_PER_STATE = STATE_SAMPLES // HOP_LENGTH

LOGPROB_THRESHOLD = -1.0  # mean log-probability of a window's tokens; below: unsure
NO_SPEECH_THRESHOLD = 0.6  # probability; above, where the text is unsure too: silence
