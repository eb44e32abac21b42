"""``python -m openmic``."""

import sys

from openmic.cli import main

sys.exit(main())
