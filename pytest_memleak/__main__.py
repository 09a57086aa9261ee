"""The command line: `python -m pytest_memleak`."""

from __future__ import annotations

import sys

from pytest_memleak.cli import main

sys.exit(main())
