"""`python -m mmreason` is `mmreason`."""

import sys

from mmreason.cli import main

sys.exit(main())
