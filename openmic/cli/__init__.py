"""The command line: serve, stream, sessions."""
