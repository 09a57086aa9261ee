"""However oddly an app ends, its shutdown that fails is an error that names the exception."""

from __future__ import annotations

import pytest

ENDS = """
import asyncio
import pytest

kept = []


class Odd(BaseException):
    pass


class Wordless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


ENDS = {
    "odd": Odd("neither an error nor an exit"),
    "wordless": Wordless(),
    "lines": ValueError("first\\nsecond"),
    "syntax": SyntaxError("bad", ("app.py", 3, 1, "a b")),
    "group": ExceptionGroup("several", [ValueError("one"), KeyError("two")]),
    "odd_group": BaseExceptionGroup("odd ones", [Odd("one")]),
    "cancelled": asyncio.CancelledError("cut"),
    "generator": GeneratorExit("closed"),
    "failing": pytest.fail.Exception("said by pytest"),
    "skipping": pytest.skip.Exception("not today"),
    "exiting": SystemExit(3),
}


def ending(error, leak):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            raise error
        kept.append(bytearray(b"x") * (1_000_000 if leak else 1))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.fixture(params=ENDS)
def healthy(request):
    return ending(ENDS[request.param], leak=False)


@pytest.fixture(params=ENDS)
def leaking(request):
    return ending(ENDS[request.param], leak=True)


class TestHealthy:
    @pytest.fixture
    def memleak_app(self, healthy):
        return healthy

    @pytest.mark.memleak
    async def test_app(self, memleak_client):
        await memleak_client.get("/")


class TestLeaking:
    @pytest.fixture
    def memleak_app(self, leaking):
        return leaking

    @pytest.mark.memleak
    async def test_app(self, memleak_client):
        await memleak_client.get("/")


def test_after_them():
    pass
"""

NAMED = {
    "odd": "test_ends.Odd: neither an error nor an exit",
    "wordless": "test_ends.Wordless: <exception str() failed>",
    "lines": "ValueError: first",
    "syntax": "SyntaxError: bad",
    "group": "ExceptionGroup: several (2 sub-exceptions)",
    "odd_group": "BaseExceptionGroup: odd ones (1 sub-exception)",
    "cancelled": "asyncio.exceptions.CancelledError: cut",
    "generator": "GeneratorExit: closed",
    "failing": "Failed: said by pytest",
    "skipping": "Skipped: not today",
    "exiting": "SystemExit: 3",
}


@pytest.fixture
def ends(project):
    project.makepyfile(test_ends=ENDS)
    return project


def test_odd_exception_in_the_shutdown(ends, verdicts):
    """After the verdict was reached, be it a leak."""
    result = ends.runpytest_subprocess("--memcheck")

    result.assert_outcomes(failed=2 * len(NAMED), passed=1)
    told = {end: f"the app's shutdown failed: {reason}" for end, reason in NAMED.items()}
    told["exiting"] = "SystemExit: 3 (in iteration 60)"
    assert verdicts() == {
        f"{name}::test_app[{end}]": f"ERROR: {reason}"
        for name in ("TestHealthy", "TestLeaking")
        for end, reason in told.items()
    }
    for ours in ("DriveError", "Traceback (most", "INTERNALERROR", "never retrieved"):
        assert ours not in result.stdout.str()


def test_odd_exception_in_the_shutdown_of_a_plain_test(ends):
    result = ends.runpytest_subprocess("-k", "not Leaking")

    result.assert_outcomes(failed=len(NAMED), passed=1, deselected=len(NAMED))
    for end, reason in NAMED.items():
        said = reason if end == "exiting" else f"the app's shutdown failed: {reason}"
        assert any(line.removeprefix("E ").strip() == said for line in result.outlines), said
    for ours in ("DriveError", "Traceback (most", "INTERNALERROR", "never retrieved"):
        assert ours not in result.stdout.str()


def test_failure_of_the_body_comes_before_that_of_the_shutdown(ends):
    ends.path.joinpath("test_ends.py").open("a").write(
        """

class TestFailing:
    @pytest.fixture
    def memleak_app(self):
        return ending(Odd("later"), leak=False)

    @pytest.mark.memleak
    async def test_app(self, memleak_client):
        await memleak_client.get("/")
        assert not "the first"
"""
    )

    for flags in ((), ("--memcheck",)):
        result = ends.runpytest_subprocess("-k", "TestFailing", *flags)

        result.assert_outcomes(failed=1, deselected=2 * len(NAMED) + 1)
        result.stdout.fnmatch_lines(["E *AssertionError: assert not 'the first'"])
        result.stdout.no_fnmatch_line("*later*")
