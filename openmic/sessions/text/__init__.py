"""Text without a session: captions, subtitles, revisions, words."""
