"""``python -m ami_promoter``."""

import sys

from ami_promoter.cli import main

sys.exit(main())
