"""Marker over flag over ini over default; the nearest marker wins, argument by argument."""

from __future__ import annotations

TESTS = """
import pytest

@pytest.mark.memleak(max_growth="1GB/24h")
def test_marker():
    pass

@pytest.mark.memleak
def test_no_argument():
    pass

@pytest.mark.memleak(max_growth="2GB/24h", step="30s")
class TestClass:
    def test_of_the_class(self):
        pass

    @pytest.mark.memleak(max_growth="3GB/24h")
    def test_of_its_own(self):
        pass
"""


def budgets(properties):
    return {name: float(found["budget_mb_per_24h"]) for name, found in properties().items()}


def test_marker_over_flag_over_ini(project, memcheck, properties):
    with (project.path / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('memleak_max_growth = "4GB/24h"\n')
    project.makepyfile(TESTS)

    memcheck().assert_outcomes(passed=4)
    of_ini = budgets(properties)
    memcheck("--memcheck-max-growth=5GB/24h").assert_outcomes(passed=4)
    of_flag = budgets(properties)

    marked = {"test_marker": 1000, "test_of_the_class": 2000, "test_of_its_own": 3000}
    assert of_ini == {**marked, "test_no_argument": 4000}
    assert of_flag == {**marked, "test_no_argument": 5000}
    # One hour in steps of 30 s for the class, whose own test keeps the step and changes the budget.
    assert {name: found["iterations"] for name, found in properties().items()} == {
        "test_marker": "60",
        "test_no_argument": "60",
        "test_of_the_class": "120",
        "test_of_its_own": "120",
    }


def test_defaults_are_a_simulated_day(pytester):
    pytester.makepyfile("import pytest\n@pytest.mark.memleak\ndef test_a(): pass")

    result = pytester.runpytest_subprocess("--memcheck")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["memleak: profile standard (240 to 1,440 iterations of 1 min), budget 500MB/24h", "passed * 500 * 300 *test_a"]
    )


def test_duration_of_the_configuration_holds_for_the_profile_of_a_marker(project, memcheck, properties):
    project.makepyfile(
        """
        import pytest

        @pytest.mark.memleak(profile="quick")
        def test_one_hour():
            pass

        @pytest.mark.memleak(profile="quick", duration="3h")
        def test_three_hours():
            pass
        """
    )

    memcheck().assert_outcomes(passed=2)

    assert {name: found["iterations"] for name, found in properties().items()} == {
        "test_one_hour": "60",
        "test_three_hours": "150",  # two looks in a row, at 120 and 150
    }


def test_module_mark_and_parameter_mark(project, memcheck, properties):
    project.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.memleak(max_growth="1GB/24h")

        @pytest.mark.parametrize(
            "size", [1, pytest.param(2, marks=pytest.mark.memleak(max_growth="2GB/24h"))]
        )
        def test_sized(size):
            pass
        """
    )

    memcheck().assert_outcomes(passed=2)

    assert budgets(properties) == {"test_sized[1]": 1000, "test_sized[2]": 2000}


def test_ini_and_report_paths(project, monkeypatch):
    # A path in a flag is relative to the working directory, in the configuration to the root directory.
    with (project.path / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('memleak_report = "out/of_ini.txt"\n')
    below = project.mkdir("below")
    below.joinpath("test_below.py").write_text("def test_a(): pass", encoding="utf-8")
    monkeypatch.chdir(below)

    project.runpytest("--memcheck").assert_outcomes(passed=1)
    project.runpytest("--memcheck", "--memcheck-report=of_flag.txt").assert_outcomes(passed=1)

    assert (project.path / "out" / "of_ini.txt").is_file()
    assert (below / "of_flag.txt").is_file()
    assert not (project.path / "leak_report.txt").exists()
