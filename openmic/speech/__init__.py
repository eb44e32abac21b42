"""Whisper: from samples to words."""

import os

# torch's threads wait for each other after every product. By default they do so busily, and where there are more
# threads than cores (others' programs, this service's own) the waiting one takes the time that the other one needs: on
# two cores shared with four programs, a live step took 0.9 to 2.7 s so, and 0.15 to 0.3 s with this. Read by torch when
# it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
