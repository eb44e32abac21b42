"""A real server, fed in real time."""
