"""The life of a stream: state, recording, transcript; no web framework here."""
