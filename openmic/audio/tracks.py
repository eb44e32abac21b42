"""The sound of a container: of the first of its audio tracks that can be decoded, on the container's clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream
from numpy.typing import NDArray

from openmic.audio.clock import StreamClock
from openmic.audio.formats import CODECS, HIGHEST_RATE, LOWEST_RATE
from openmic.audio.problems import PROBLEMS
from openmic.pyav import codec_name, frame_samples, is_default, is_picture

MOST_FAILURES_IN_A_ROW = 100  # packets that cannot be read or decoded, before the rest counts as lost
FAILURES_OF_A_TRACK = 20  # packets, before another track is tried; none of this one was understood
KEPT_PACKETS = 250  # of the other tracks, until the first is known to have sound,
KEPT_BYTES = 4_194_304  # and no more than this
FRAME_BYTES, SAMPLE_BYTES = 1024, 4  # of a coded frame and each of its samples, at most

Sound = tuple[NDArray[np.generic], int]
"""A stretch of sound, shape (n, channels), and its rate in Hz."""

AudioPacket: TypeAlias = "av.Packet[Any]"


class Lost(Exception):
    """The rest of a track cannot be understood."""


class TrackReader:
    """Decodes one audio track of a container.

    Args:
        container: open.
        name: what people call its kind.
        has_clock: whether its timestamps say when a packet was recorded.

    Attributes:
        understood_bytes: where in the container the last packet ends that was decoded; 0: not known.

    Raises:
        OpenmicError: ``audio_track_missing``, ``audio_not_decodable``.
    """

    def __init__(self, container: InputContainer, name: str, *, has_clock: bool) -> None:
        if not container.streams.audio:
            found = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise PROBLEMS.error("audio_track_missing", container=name, found=found)
        self.understood_bytes = 0
        self._container = container
        self._name = name
        self._has_clock = has_clock
        self._tracks = _decodable(container, name)
        self._kept: dict[int, list[AudioPacket]] = {}
        self._kept_bytes = 0
        self._failures = 0  # in a row
        self._decoded = False
        self._origin: float | None = None
        self._clock: StreamClock | None = None

    def sounds(self) -> Iterator[Sound]:
        """All frames that can be decoded, and silence where the container's clock goes on without any.

        Raises:
            OpenmicError: ``audio_not_decodable``: not one of its packets can be decoded; ``audio_too_costly``.
            Lost: so many packets could not be understood that the rest counts as lost.
        """
        for packet in self._packets():
            if packet.stream in self._tracks:
                yield from self._take(packet)
            self._note_time(packet)
        if not self._decoded and self._next_track():
            yield from self._kept_sounds()
        yield from self._decode(None)
        if not self._decoded and self._failures:
            detail = f"nothing inside its {self._name} container can be decoded"
            raise PROBLEMS.error("audio_not_decodable", detail=detail)
        if self._failures > MOST_FAILURES_IN_A_ROW:
            raise Lost

    def _take(self, packet: AudioPacket) -> Iterator[Sound]:
        if packet.stream is self._tracks[0]:
            yield from self._decode(packet)
            if self._decoded:
                self._kept.clear()
            elif self._failures >= FAILURES_OF_A_TRACK and self._next_track():
                yield from self._kept_sounds()
        elif not self._decoded:
            kept = self._kept.setdefault(packet.stream.index, [])
            if len(kept) < KEPT_PACKETS and self._kept_bytes + packet.size <= KEPT_BYTES:
                kept.append(packet)
                self._kept_bytes += packet.size
            elif self._next_track():
                yield from self._kept_sounds()
                if packet.stream is self._tracks[0]:
                    yield from self._decode(packet)

    def _next_track(self) -> bool:
        """Give the present track up, if another one has packets."""
        later = [track for track in self._tracks[1:] if self._kept.get(track.index)]
        if not later:
            return False
        self._tracks = self._tracks[self._tracks.index(later[0]) :]
        self._failures = 0
        return True

    def _kept_sounds(self) -> Iterator[Sound]:
        for packet in self._kept.pop(self._tracks[0].index, []):
            yield from self._decode(packet)

    def _packets(self) -> Iterator[AudioPacket]:
        """The packets of all tracks that matter, past what is damaged."""
        moving = [track for track in self._container.streams.video if not is_picture(track)]
        others: list[Stream] = [*moving] if self._has_clock else []
        failures = 0  # in a row
        while failures <= MOST_FAILURES_IN_A_ROW:
            try:
                for packet in self._container.demux(*self._tracks, *others):
                    if packet.size:  # PyAV ends with empty ones
                        failures = 0
                        yield packet
                return
            except (av.FFmpegError, ValueError) as error:
                check_memory(error)
                failures += 1
        self._failures = failures

    def _decode(self, packet: AudioPacket | None) -> Iterator[Sound]:
        """The sounds of a packet; None gives what the decoder still holds."""
        context = self._tracks[0].codec_context
        try:
            frames = [(frame, _sound(frame)) for frame in context.decode(packet)]
        except (av.FFmpegError, ValueError) as error:
            check_memory(error)
            if packet is not None:
                self._failures += 1
                if self._failures > MOST_FAILURES_IN_A_ROW and self._decoded:
                    raise Lost from None
            return
        if packet is not None:
            self._failures = 0
            if packet.pos is not None and frames:  # FFmpeg's parsers put what is no frame behind one
                most = FRAME_BYTES + sum(sound[0].size for _, sound in frames) * SAMPLE_BYTES
                self.understood_bytes = packet.pos + min(packet.size, most)
        for frame, sound in frames:
            self._decoded = True
            yield from self._silence_before(frame, sound)
            yield sound

    def _silence_before(self, frame: av.AudioFrame, sound: Sound) -> Iterator[Sound]:
        if not self._has_clock:
            return
        if self._clock is None:
            self._clock = StreamClock(self._origin)
        samples, rate = sound
        missing = round(self._clock.gap_seconds(frame.time, len(samples) / rate) * rate)
        while missing > 0:
            yield np.zeros((min(missing, rate), 1), np.float32), rate
            missing -= rate

    def _note_time(self, packet: AudioPacket) -> None:
        """A track that begins before this one's first sound says where zero is."""
        if self._clock is None and packet.pts is not None and packet.time_base is not None:
            at = packet.pts * float(packet.time_base)
            if packet.stream not in self._tracks:
                self._origin = at if self._origin is None else min(self._origin, at)


def _decodable(container: InputContainer, name: str) -> list[AudioStream]:
    """Its audio tracks that a decoder is there for, the default one first."""
    known = [track for track in container.streams.audio if track.codec_context is not None]
    if not known:
        raise PROBLEMS.error("audio_not_decodable", detail=f"a codec inside {name} that is not known here")
    used = [track for track in known if _is_used(codec_name(track.codec_context.codec))]
    if not used:
        codec = codec_name(known[0].codec_context.codec)
        raise PROBLEMS.error("audio_not_decodable", detail=f"{codec} inside {name}, which is not used here")
    usual = [track for track in used if _is_usual(track.codec_context.sample_rate)]
    if not usual:
        raise PROBLEMS.error("audio_not_decodable", detail=f"{name} at {used[0].codec_context.sample_rate} Hz")
    return sorted(usual, key=lambda track: not is_default(track))


def check_memory(error: Exception) -> None:
    """Raise what is no damage of the stream: it asks for more memory than there is.

    Raises:
        OpenmicError: ``audio_too_costly``.
    """
    if isinstance(error, MemoryError):
        raise PROBLEMS.error("audio_too_costly") from error


def _is_used(codec: str) -> bool:
    return codec in CODECS or codec.startswith("pcm_")


def _is_usual(rate: int) -> bool:
    return rate == 0 or LOWEST_RATE <= rate <= HIGHEST_RATE  # 0 where only the frames tell


def _sound(frame: av.AudioFrame) -> Sound:
    """A decoded frame's samples.

    Raises:
        ValueError: a sample format that NumPy has no name for, or a rate that nobody records at.
    """
    if not LOWEST_RATE <= frame.sample_rate <= HIGHEST_RATE:
        raise ValueError(f"{frame.sample_rate} Hz")
    return frame_samples(frame), frame.sample_rate
