"""`python -m poseglot`."""

import sys

from poseglot.app.cli import main

sys.exit(main())
