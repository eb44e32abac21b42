"""What can go wrong between bytes and samples."""

from __future__ import annotations

from openmic.errors import Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "audio_empty": Problem(
            "The stream ended without any audio.",
            "Not one sample came in before it was stopped; the recorder may have been muted or had not begun.",
            "Check that the microphone or the file has sound in it, then start again.",
        ),
        "audio_not_decodable": Problem(
            "This is not audio that can be decoded ({detail}).",
            "The bytes are no complete beginning of a WebM, Ogg, MP4, WAV, FLAC, MP3 or AAC stream, or are damaged.",
            "Send one of those from its first byte on (`ffmpeg -i INPUT OUTPUT.flac` makes one of anything else); "
            "for raw samples set `encoding` and `sample_rate`.",
        ),
        "audio_not_understood": Problem(
            "From second {seconds:.1f} on the stream was not understood.",
            "{bytes} bytes came that are no sound of the {container} stream and not the beginning of another one.",
            "Send each recording whole, from its first byte on, and in one of the containers that are decoded here.",
        ),
        "audio_too_costly": Problem(
            "This audio could not be decoded within the limits.",
            "Its decoder took more memory or processor time than any recording needs, or crashed; the file is damaged, "
            "or made to do that.",
            "Convert it to WAV, FLAC or Opus and send it again.",
        ),
        "decoder_not_started": Problem(
            "The server could not start a decoder for this audio ({detail}).",
            "Its machine has no process, memory or file descriptor left for one.",
            "Try again a little later; if it repeats, tell the owner of the server.",
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
            "The encoding {encoding} is bare samples, which do not tell how fast they are to be played.",
            "Set `sample_rate` to that of your recorder, for example 16000 or 48000.",
        ),
        "audio_rate_invalid": Problem(
            "The sample rate {rate} cannot be used.",
            "It is a whole number of hertz from {lowest} to {highest}.",
            "Set `sample_rate` to that of your recorder, for example 16000 or 48000.",
        ),
        "audio_channels_invalid": Problem(
            "The number of channels {channels} cannot be used.",
            "It is a whole number from 1 to {most}.",
            "Set `channels` to 1 for mono or 2 for stereo.",
        ),
    }
)
