"""Live text: a step of the decoder, and which of its words are committed."""
