"""Honest side-by-side measurements; never part of the test run."""
