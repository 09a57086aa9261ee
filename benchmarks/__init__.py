"""Honest side-by-side measurements; each prints a table. Never part of the test run."""
