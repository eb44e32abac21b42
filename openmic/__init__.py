"""openmic: one notebook turns a GPU into a public live-transcription service."""
