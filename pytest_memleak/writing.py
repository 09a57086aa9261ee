"""Writes the reports of a session, each from the one record."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pytest_memleak.outputs import Outputs

Record = Mapping[str, Any]


class Written(NamedTuple):
    """What became of the reports: the paths of those that are there, a sentence for each that is not."""

    paths: tuple[Path, ...] = ()
    problems: tuple[str, ...] = ()


def write_reports(record: Record, outputs: Outputs, root: Path) -> Written:
    """Write every report that was asked for; one that cannot be written stops no other.

    Args:
        record: of the session.
        outputs: what was asked for.
        root: the root directory, where the lines of findings are read from.
    """
    paths: list[Path] = []
    problems: list[str] = []
    for path, make in _reports(outputs, root):
        try:
            write_whole(path, make(record))
            paths.append(path)
        except OSError as error:
            problems.append(f"the report {path} could not be written ({error.strerror or error}); the verdicts stand")
    problems += _add_step_summary(record)
    return Written(tuple(paths), tuple(problems))


def workflow_commands(record: Record, root: Path) -> list[str]:
    """The lines that mark findings in GitHub's view of a change; none elsewhere."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return []
    from pytest_memleak.report import github

    repository = os.environ.get("GITHUB_WORKSPACE") or root
    below = Path(os.path.relpath(root, repository)).as_posix()
    return github.workflow_commands(record, "" if below == "." or below.startswith("..") else f"{below}/")


def _add_step_summary(record: Record) -> list[str]:
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path or not record["tests"]:
        return []
    from pytest_memleak.report import github

    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(github.summary(record) + "\n")
    except OSError as error:
        return [f"the step summary {path} could not be written ({error.strerror or error}); the verdicts stand"]
    return []


def _reports(outputs: Outputs, root: Path) -> Iterator[tuple[Path, Callable[[Record], str]]]:
    from pytest_memleak import baseline
    from pytest_memleak.report import record, text

    yield outputs.report_path, text.report
    if outputs.json_path:
        yield outputs.json_path, record.dumps
    if outputs.html_path:
        yield outputs.html_path, lambda record: html_page(record, root)
    if outputs.save_path:
        yield outputs.save_path, baseline.dumps


def html_page(record: Record, root: Path) -> str:
    """The HTML report, with the lines of code around its findings as they are below `root` now."""
    from pytest_memleak.excerpts import excerpts_below
    from pytest_memleak.report import html

    return html.page(record, excerpts_below(root))


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the whole new one, never half.

    Raises:
        OSError: when the folder or the file cannot be written.
    """
    try:
        path = path.resolve()  # a link stays a link
    except (RuntimeError, ValueError) as error:  # links in a circle; a null character
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    if path.exists() and not path.is_file():  # a device or a pipe: nothing there to replace
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
