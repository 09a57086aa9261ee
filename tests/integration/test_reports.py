"""The same facts on the terminal, in leak_report.txt and in JUnit, from one process or several."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

TESTS = """
    import pytest

    @pytest.mark.memleak
    async def test_leaks(memleak):
        await memleak.send([("GET", "/heap")], count=5)

    @pytest.mark.memleak
    async def test_passes(memleak):
        await memleak.send([("GET", "/ok")], count=5)

    @pytest.mark.memleak
    async def test_fails(memleak):
        assert memleak.iteration < 9

    @pytest.mark.memleak
    def test_errors(there_is_no_such_fixture):
        pass

    def test_ordinary():
        pass
"""
PROPERTIES = {
    "verdict", "growth_mb_per_24h", "growth_low_mb_per_24h", "growth_high_mb_per_24h", "budget_mb_per_24h",
    "bytes_per_iteration", "bytes_per_request", "rss_start_mb", "rss_peak_mb", "iterations", "simulated_hours",
    "requests", "severity", "rss_growth_mb_per_24h", "live_growth_mb_per_24h",
}  # fmt: skip
WHERE_KNOWN = {"unclosed_clients", "cause", "top_line", "top_holder"}


def test_several_processes_report_as_one(project, memcheck, properties, report):
    project.makepyfile(TESTS)
    seen = []
    for workers in ((), ("-n", "2")):
        result = memcheck("--memcheck-no-explain", *workers)

        result.assert_outcomes(passed=2, failed=2, errors=1)
        assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
        found = properties()
        headings = [line for line in report().splitlines() if line.startswith("test_several")]
        verdicts = {name: (values["verdict"], values["iterations"]) for name, values in found.items()}
        seen.append((verdicts, headings, report().splitlines()[1]))

    one, several = seen
    assert one[0] == several[0] == {
        "test_leaks": ("leak", "60"),
        "test_passes": ("passed", "60"),
        "test_fails": ("error", "9"),
        "test_errors": ("error", "0"),
    }  # fmt: skip
    assert one[2] == several[2] == "4 tests checked: 1 leak, 2 error, 1 passed"
    assert set(one[1]) == set(several[1])
    assert one[1][0].endswith("::test_leaks")  # the worst comes first


def test_junit(project, memcheck, properties):
    project.makepyfile(TESTS)

    memcheck("-o", "junit_duration_report=total")

    found = properties()
    assert set(found) == {"test_leaks", "test_passes", "test_fails", "test_errors"}
    for name in ("test_leaks", "test_passes"):
        assert PROPERTIES <= set(found[name]) <= PROPERTIES | WHERE_KNOWN
        assert "None" not in found[name].values()
        assert float(found[name]["rss_peak_mb"]) >= float(found[name]["rss_start_mb"]) > 1
        low, rate, high = (float(found[name][f"growth_{part}mb_per_24h"]) for part in ("low_", "", "high_"))
        assert low <= rate <= high
    assert found["test_leaks"]["severity"] == "high"  # 60 MB an hour
    assert found["test_leaks"]["simulated_hours"] == "1.0"
    assert found["test_leaks"]["requests"] == "300"
    assert found["test_errors"]["verdict"] == "error"

    root = ElementTree.parse(project.path / "junit.xml").getroot()
    cases = {case.get("name"): case for case in root.iter("testcase")}
    failure = cases["test_leaks"].find("failure")
    assert failure is not None
    assert failure.get("message", "").startswith("Failed: memory leak: grows by 1,4")
    # Real durations: a simulated hour or day does not count.
    assert all(0 <= float(case.get("time", "0")) < 600 for case in cases.values())
    assert "memleak" not in ElementTree.tostring(cases["test_ordinary"], encoding="unicode")


@pytest.mark.parametrize(
    ("tests", "counts"),
    [
        ("@pytest.mark.memleak\ndef test_a(): pass", "1 test checked: 1 passed"),
        ("@pytest.mark.memleak\ndef test_a(missing): pass", "1 test checked: 1 error"),
        ("def test_a(): pass", "No test was checked: *"),
        ("", "No test was checked: *"),
    ],
    ids=["passed", "error", "unmarked", "no tests"],
)
def test_report_is_always_written(project, report, tests, counts):
    project.makepyfile(f"import pytest\n{tests}")

    result = project.runpytest_subprocess("--memcheck")

    pytest.LineMatcher(report().splitlines()).fnmatch_lines(["Memory leak report, pytest-memleak *", counts])
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


def test_collection_error_leaves_a_report(project, report):
    project.makepyfile("import a_package_that_is_not_there")

    assert project.runpytest_subprocess("--memcheck").ret == pytest.ExitCode.INTERRUPTED
    assert "No test was checked" in report()


def test_terminal(project):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak
        def test_a():
            pass
        """
    )
    header = "memleak: profile standard (60 iterations of 1 min), budget 500MB/24h"

    usual = project.runpytest_subprocess("--memcheck")
    quiet = project.runpytest_subprocess("--memcheck", "-q")
    bare = project.runpytest_subprocess("--memcheck", "--no-header", "--color=yes")
    unmarked = project.runpytest_subprocess("--memcheck", "-k", "nothing")

    usual.stdout.fnmatch_lines(
        [header, "=* memleak =*", "passed *::test_a", "memleak: report written to *leak_report.txt"]
    )
    quiet.stdout.no_fnmatch_line("memleak: profile*")
    quiet.stdout.no_fnmatch_line("passed *::test_a")
    quiet.stdout.fnmatch_lines(["memleak: report written to *leak_report.txt"])
    bare.stdout.no_fnmatch_line("memleak: profile*")
    unmarked.stdout.fnmatch_lines(["memleak: no test was checked; mark tests with @pytest.mark.memleak"])


def test_nothing_but_text_on_a_pipe(project):
    # The progress line is for terminals: no escape codes where nobody watches.
    project.makepyfile("import pytest\n@pytest.mark.memleak\ndef test_a(): pass")

    result = project.runpytest_subprocess("--memcheck", "-s")

    assert "\x1b" not in result.stdout.str() + result.stderr.str()


def test_hostile_ids(project, memcheck, report, properties):
    project.makepyfile(
        r"""
        import pytest

        @pytest.mark.memleak
        @pytest.mark.parametrize("text", ["a\nb", "\udce9", "x" * 3_000, "漢字", "\x1b[31m", "<&\">", "\0", ""])
        def test_a(text):
            assert text != "<&\">"
        """
    )

    for workers in ((), ("-n", "1")):
        result = memcheck(*workers)

        result.assert_outcomes(passed=7, failed=1)
        assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
        assert all(len(line) <= 100 for line in report().splitlines())
        assert "\x1b" not in report()
        assert len(properties()) == 8


def test_crashed_worker_keeps_what_was_reported_before(project, memcheck, report):
    project.makepyfile(
        """
        import os
        import pytest

        @pytest.mark.memleak
        def test_a():
            pass

        def test_b():
            os._exit(1)
        """
    )

    result = memcheck("-n", "1")

    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert "1 test checked: 1 passed" in report()
