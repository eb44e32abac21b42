"""Which part of a recording the final pass reads next: regions of speech, in windows of at most 30 s.

All functions look at one pass: its recording, where somebody speaks in it, how far the walk has come, and whether the
recording has ended.
"""

from __future__ import annotations

from whisper.audio import FRAMES_PER_SECOND, HOP_LENGTH, N_FRAMES

from openmic.audio.types import SAMPLE_RATE
from openmic.speech.final.speech_timeline import PAUSE_SECONDS, SpeechRegion, SpeechTimeline
from openmic.speech.final.walk_state import WalkState
from openmic.speech.types import Recording

LEAD_SECONDS = 1.0  # of a long pause that are looked at before speech,
TRAIL_SECONDS = 1.0  # and of any pause after it, if nothing follows
LATE_SECONDS = 1.0  # voice activity tells of speech well within this after it began
QUIET_SECONDS = 1.5  # a speaker silent for so long may have finished: longer than TRAIL_SECONDS
EDGE_FRAMES = 2  # behind a window's last frame, which its samples reach into
LEFT_SECONDS = 0.35  # speech behind the last word that is shorter than this is the word's own end


def next_window(recording: Recording, timeline: SpeechTimeline, state: WalkState, ended: bool) -> int:
    """How many mel frames the next window has, 0 where there is none yet; moves ``state.seek`` over long silence."""
    available_mel_frames: int = len(recording) // HOP_LENGTH
    if ended and available_mel_frames <= state.seek:
        return 0
    seek_seconds = state.seek / FRAMES_PER_SECOND
    region = speech_ahead(timeline, state, ended)
    known = timeline.known_until_seconds or 0.0
    if not ended and 0.0 < known < seek_seconds:  # another pass has walked this before; it is heard again
        return 0
    if region is None:
        if known > seek_seconds + PAUSE_SECONDS + LATE_SECONDS + LEAD_SECONDS:
            state.seek = int((known - LATE_SECONDS - LEAD_SECONDS) * FRAMES_PER_SECOND)
            state.in_silence = True
        return 0
    if state.in_silence or region.start > seek_seconds + PAUSE_SECONDS:
        state.seek = max(state.seek, int((region.start - LEAD_SECONDS) * FRAMES_PER_SECOND))
        state.in_silence = False
    if region.over or ended:
        content = int(min(available_mel_frames, (region.end + TRAIL_SECONDS) * FRAMES_PER_SECOND))
        return max(0, min(int(N_FRAMES), content - state.seek))
    return int(N_FRAMES) if available_mel_frames >= state.seek + N_FRAMES + EDGE_FRAMES else 0


def speech_ahead(timeline: SpeechTimeline, state: WalkState, ended: bool) -> SpeechRegion | None:
    """The next speech that is more than the end of the last word, if there was one."""
    after = state.seek / FRAMES_PER_SECOND
    if state.last_speech_seconds is not None:
        after = max(after, state.last_speech_seconds + LEFT_SECONDS)
    return timeline.region(after, ended)


def paused_at(recording: Recording, timeline: SpeechTimeline, state: WalkState, ended: bool) -> float | None:
    """When speech ended, if somebody has spoken since the last window and has been silent for a moment."""
    region = speech_ahead(timeline, state, ended)
    known = min(len(recording) / SAMPLE_RATE, timeline.known_until_seconds or 0.0)
    return region.end if region is not None and known >= region.end + QUIET_SECONDS else None


def ends_region(timeline: SpeechTimeline, end: float, ended: bool) -> bool:
    """Whether a word that ended at ``end`` seconds is its region's last: how the walk goes on does not matter then."""
    region = timeline.region(end + LEFT_SECONDS, ended)
    if region is not None:
        return region.start > end + PAUSE_SECONDS
    return ended or (timeline.known_until_seconds or 0.0) > end + PAUSE_SECONDS
