"""What is on disk of a session: journal, recording, folder."""
