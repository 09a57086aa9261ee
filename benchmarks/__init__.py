"""Honest measurements, side by side; each module prints a table. Not part of the tests."""
