"""What can go wrong between bytes and samples."""

from __future__ import annotations

from openmic.errors import Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "audio_empty": Problem(
            "The stream ended without any audio.",
            "No sample arrived before the stop; the recorder was muted or had not started.",
            "Check that the microphone or the file has sound in it, then start again.",
        ),
        "audio_not_decodable": Problem(
            "This is not audio that can be decoded ({detail}).",
            "The bytes are not the start of a valid WebM, Ogg, MP4, WAV, FLAC, MP3 or AAC stream, or they are damaged.",
            "Send one of these from its first byte on (`ffmpeg -i INPUT OUTPUT.flac` converts anything else); for "
            "raw samples set `encoding` and `sample_rate`.",
        ),
        "audio_not_understood": Problem(
            "The stream could not be decoded from second {seconds:.1f} on.",
            "{bytes} bytes arrived that are neither audio of the {container} stream nor the start of another one.",
            "Send each recording whole, from its first byte on, and in one of the containers that this server decodes.",
        ),
        "audio_too_costly": Problem(
            "This audio could not be decoded within the limits.",
            "Its decoder crashed, or took more memory or processor time than any recording needs; the file is "
            "damaged, or was made to cause that.",
            "Convert it to WAV, FLAC or Opus and send it again.",
        ),
        "decoder_not_started": Problem(
            "The server could not start a decoder for this audio ({detail}).",
            "Its machine has no process, memory or file descriptor left for one.",
            "Try again later; if it repeats, tell the owner of the server.",
        ),
        "audio_track_missing": Problem(
            "The file has no audio track.",
            "It is a valid {container} file, but holds only {found}.",
            "Record with the microphone switched on, or choose a file with sound.",
        ),
        "audio_encoding_unknown": Problem(
            "The encoding {encoding!r} is not known.",
            "It can be `auto` (a container such as WebM or WAV), `pcm_s16le` or `pcm_f32le`.",
            "Set `encoding` to one of these, or leave it out.",
        ),
        "audio_rate_missing": Problem(
            "Raw audio came without its sample rate.",
            "The encoding {encoding} is bare samples, which do not say at which rate they were recorded.",
            "Set `sample_rate` to that of your recorder, for example 16000 or 48000.",
        ),
        "audio_rate_invalid": Problem(
            "The sample rate {rate} cannot be used.",
            "A sample rate is a whole number of hertz from {lowest} to {highest}.",
            "Set `sample_rate` to that of your recorder, for example 16000 or 48000.",
        ),
        "audio_channels_invalid": Problem(
            "The number of channels {channels} cannot be used.",
            "The number of channels is a whole number from 1 to {most}.",
            "Set `channels` to 1 for mono or 2 for stereo.",
        ),
    }
)
