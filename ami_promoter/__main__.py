"""``python -m ami_promoter``."""

import sys

from ami_promoter.main import main

sys.exit(main())
