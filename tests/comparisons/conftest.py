"""The benchmarks are no part of the package: they are imported from the root of the project."""

from __future__ import annotations

import sys
from pathlib import Path

# Last, so that the installed plugin is the one that is tested.
sys.path.append(str(Path(__file__).parents[2]))
