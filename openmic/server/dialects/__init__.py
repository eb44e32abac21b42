"""The wires that clients speak, over one connection that knows limits, pace and threads."""
