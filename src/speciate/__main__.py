"""``python -m speciate`` is the command ``speciate``."""

from __future__ import annotations

import sys

from speciate.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
