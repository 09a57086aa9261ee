"""Whose code a file is, and in which version."""

from __future__ import annotations

from importlib import metadata

from pytest_memleak.origin import version_of


def test_a_package_has_the_version_of_the_distribution_that_brings_it():
    assert version_of("httpx") == metadata.version("httpx")
    assert version_of("_pytest") == metadata.version("pytest")  # called otherwise
    assert version_of("no_such_package") is None
