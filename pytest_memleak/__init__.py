"""pytest-memleak: memory leak regression testing for Python services."""
