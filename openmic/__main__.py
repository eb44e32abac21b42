"""``python -m openmic``."""

import sys

from openmic.cli.main import main

sys.exit(main())
