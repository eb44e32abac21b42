"""A microphone in the notebook itself: no tunnel, no account, no second tab."""
