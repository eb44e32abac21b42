"""``openmic.launch``: engine, server and tunnel as one service."""
