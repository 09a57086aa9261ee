"""Shared by all tests: pytester, and the settings of hypothesis."""

from hypothesis import settings

pytest_plugins = ["pytester"]

# Examples are derived from the test, not from chance: a run that fails here fails everywhere.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")
