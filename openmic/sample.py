"""The project's own recordings, for a first try; also as a browser would have recorded them."""

from __future__ import annotations

from pathlib import Path

from openmic.launch_problems import PROBLEMS


def sample_path(name: str = "quickstart") -> Path:
    """Where ``sample_audio/NAME.wav`` is: beside the package, or under the present folder.

    Raises:
        OpenmicError: ``no_sample``.
    """
    for root in (Path(__file__).resolve().parents[1], Path.cwd()):
        path = root / "sample_audio" / f"{name}.wav"
        if path.is_file():
            return path
    raise PROBLEMS.error("no_sample", name=name)


def as_browser_recording(recording: Path, target: Path) -> None:
    """Write a recording as Chrome's and Firefox's MediaRecorder does: Opus in WebM, clusters of 250 ms, no index.

    Args:
        recording: any file that FFmpeg can decode.
        target: of the WebM; any slices of it may be sent as they come.
    """
    import av

    from openmic.pyav import open_input

    live = {"live": "1", "cluster_time_limit": "250"}  # milliseconds
    with open_input(str(recording)) as source, av.open(str(target), "w", format="webm", options=live) as file:
        track = file.add_stream("libopus", rate=48_000, layout="mono")
        resampler = av.AudioResampler("flt", "mono", 48_000, 960)  # frames of 20 ms
        for frame in source.decode(audio=0):
            for ready in resampler.resample(frame):
                file.mux(track.encode(ready))
        for ready in resampler.resample(None):
            file.mux(track.encode(ready))
        file.mux(track.encode(None))
