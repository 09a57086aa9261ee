"""What a test in a fresh process and the session that started it tell each other: files in a folder."""

from __future__ import annotations

import contextlib
import json
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_COLUMNS = 5


class Exchange:
    """One folder, written by the fresh process line by line: what is in it survives a crash.

    Args:
        folder: exists already, and is this test's alone.
    """

    def __init__(self, folder: Path) -> None:
        self.output = folder / "output"
        self._order = folder / "order"
        self._reports = folder / "reports"
        self._samples = folder / "samples"
        self._exit = folder / "exit"
        self._read_to = 0

    # --- the session

    def order(self, **what: str) -> None:
        """Say which test to run, before the process starts."""
        self._order.write_text(json.dumps(what), encoding="utf-8")

    def new_reports(self) -> Iterator[dict[str, Any]]:
        """The reports that have arrived since the last call; one that is half written comes next time."""
        if not self._reports.exists():
            return
        with self._reports.open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read_to += len(line)
                yield json.loads(line)

    def asked_exit(self) -> tuple[str, int | None] | None:
        """The reason and the exit code of a `pytest.exit`, if there was one."""
        if not self._exit.exists():
            return None
        reason, code = json.loads(self._exit.read_text(encoding="utf-8"))
        return reason, code

    def samples(self) -> tuple[array[int], ...]:
        """RSS, mapped bytes, bytes of the C heap, Python's blocks and requests, one entry per iteration."""
        rows = array("q")
        if self._samples.exists():
            raw = self._samples.read_bytes()
            rows.frombytes(raw[: len(raw) - len(raw) % (_COLUMNS * rows.itemsize)])
        return tuple(rows[column::_COLUMNS] for column in range(_COLUMNS))

    def last_output(self, lines: int) -> str:
        """What the process printed last, past pytest's capture; of a fatal error the innermost frames."""
        with contextlib.suppress(OSError):
            text = self.output.read_text(encoding="utf-8", errors="backslashreplace")
            if (fatal := text.rfind("Fatal Python error")) >= 0:
                reason, _, stack = text[fatal:].partition("\n")
                return "\n".join([reason, *stack[stack.find("Current thread") :].splitlines()[:lines]])
            return "\n".join(text.splitlines()[-lines:])
        return ""

    # --- the fresh process

    def read_order(self) -> dict[str, str]:
        """Which test to run."""
        order: dict[str, str] = json.loads(self._order.read_text(encoding="utf-8"))
        return order

    def add_report(self, data: Mapping[str, Any]) -> None:
        """Hand over one report; values that JSON does not know become text."""
        with self._reports.open("a", encoding="utf-8") as file:
            file.write(json.dumps(data, default=str) + "\n")

    def ask_to_exit(self, reason: str, code: int | None) -> None:
        """Say that the whole session is to end."""
        self._exit.write_text(json.dumps((reason, code)), encoding="utf-8")

    def open_journal(self) -> SampleJournal:
        """Where the samples go, one by one."""
        return SampleJournal(self._samples)


class SampleJournal:
    """Appends each sample to a file as soon as it is measured: 40 bytes, which the kernel keeps after a crash."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._row = array("q", bytes(8 * _COLUMNS))

    def __call__(self, row: tuple[int, ...]) -> None:
        for column, value in enumerate(row):
            self._row[column] = value
        with contextlib.suppress(OSError):  # a full disk: the samples in memory are the ones that are judged
            self._file.write(self._row)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            self._file.close()
