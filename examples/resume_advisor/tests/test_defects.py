"""Every way to leak that the service avoids is found, and its line is named.

Each test is expected to fail: the check of a leaking service has to. What it said is looked at afterwards.
"""

import inspect
from pathlib import Path

import pytest
from resume_advisor import defects
from resume_advisor.config import Config
from resume_advisor.main import create_app

JOB = "Python FastAPI asyncio Kubernetes observability on call, memory profiling"


@pytest.fixture(params=defects.DEFECTS)
def defect(request):
    """One way to leak. When the check is over, it must have been named."""
    if not request.config.getoption("memcheck"):
        pytest.skip("a leak can only be found with --memcheck")
    defect = defects.DEFECTS[request.param]
    yield defect
    defects.clean_up()
    said = {name.removeprefix("memleak."): value for name, value in request.node.user_properties}
    assert said["verdict"] == "leak"
    assert said["top_line"] == line_of(defect.source, request.config.rootpath)
    assert defect.holder in said.get("top_holder", "")


def line_of(source, root: Path) -> str:
    """Where the line marked as the leak is, as reports write it."""
    lines, first = inspect.getsourcelines(inspect.unwrap(source))
    offset = next(i for i, line in enumerate(lines) if "# the leak" in line)
    path = Path(inspect.getfile(inspect.unwrap(source))).relative_to(root).as_posix()
    return f"{path}:{first + offset}"


@pytest.fixture
def memleak_app(defect, model):
    return create_app(Config(cache_entries=20), defect.parts, model_transport=model)


@pytest.mark.memleak(duration="1h", max_growth="2MB/24h")
@pytest.mark.xfail(strict=True, raises=pytest.fail.Exception, reason="the service leaks")
async def test_leak_is_found(memleak, resumes):
    """Two requests a minute for an hour are enough for a budget of 2 MB a day."""
    mix = [("POST", "/api/v1/analyze", 1, {"resume": next(resumes), "job": JOB}) for _ in range(2)]

    responses = await memleak.send(mix, count=2)

    assert {response.status_code for response in responses} == {200}
