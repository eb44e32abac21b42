"""Whisper: from samples to words."""

import os

# How torch's threads wait for each other after every product; read by torch when it is imported. By default they wait
# busily for a long time, and where there are more threads than cores (others' programs, this service's own) the waiting
# one takes the time that the other one needs: on two cores shared with four programs, a live step took 0.9 to 2.7 s so,
# and 0.15 to 0.3 s with threads that sleep at once. The next product mostly comes within microseconds, though, and
# waking up costs more than it: so they look this many times whether it has come before they sleep.
if not os.environ.get("OMP_WAIT_POLICY"):
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
