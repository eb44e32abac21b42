"""What is spoken: recordings, readings, cuts, sounds."""
