"""``python -m toollint``."""

from __future__ import annotations

import sys

from toollint.cli import main

if __name__ == "__main__":
    sys.exit(main())
