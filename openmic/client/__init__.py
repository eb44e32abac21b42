"""The reference client of ``openmic.v1``: needs websockets, and PyAV to know how long a recording lasts."""

from openmic.client.eta import Remaining
from openmic.client.link import Address, parse_link
from openmic.client.options import StreamOptions
from openmic.client.problems import Refused
from openmic.client.result import Message, Result, Revision, StreamFailed, readable_json
from openmic.client.stream import Stream, connect
from openmic.client.transcribe import (
    MICROPHONE,
    Collect,
    iter_stream,
    iter_stream_async,
    stream_file,
    stream_file_async,
)

__all__ = [
    "MICROPHONE",
    "Address",
    "Collect",
    "Message",
    "Refused",
    "Remaining",
    "Result",
    "Revision",
    "Stream",
    "StreamFailed",
    "StreamOptions",
    "connect",
    "iter_stream",
    "iter_stream_async",
    "parse_link",
    "readable_json",
    "stream_file",
    "stream_file_async",
]
