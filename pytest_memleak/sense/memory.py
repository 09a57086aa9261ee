"""The memory sensors: RSS, mapped bytes, the C heap and Python's small blocks, once per iteration.

All columns are allocated before the first sample: a harness that grows is measured as the app's growth.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_SLOW_HEAP_READING_S = 0.0005
_ELSEWHERE = "run the check where /proc/self/statm or psutil.Process().memory_info() can be read"
_DEFAULT_MEMORY_LIMIT_BYTES = 2 * 2**30
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallBlocks:
    """The state of Python's small-block allocator: blocks, bytes in them, and bytes held for them."""

    blocks: int
    used_bytes: int
    arena_bytes: int


class SensorError(Exception):
    """The memory of this process cannot be read; the message is one sentence with the remedy."""


class MemorySensor:
    """Reads the memory of this process; use as a context manager.

    Args:
        samples: how many samples the columns are allocated for.
        timer: a clock of real seconds, to notice a heap that is slow to read.
    """

    def __init__(self, samples: int, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._heap_every = 1
        self.count = 0
        self.rss_bytes, self.vms_bytes, self.heap_bytes, self.blocks = (
            array("q", bytes(8 * samples)) for _ in range(4)
        )

    def __enter__(self) -> Self:
        import psutil

        self._process = psutil.Process()
        try:
            self._statm: int | None = os.open("/proc/self/statm", os.O_RDONLY)
        except OSError:
            self._statm = None
        self._heap_info: Callable[[], tuple[int, int]] | None = getattr(psutil, "heap_info", None)
        self._peak_at_start = _peak_rss_bytes()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._statm is not None:
            os.close(self._statm)
            self._statm = None

    @property
    def has_heap(self) -> bool:
        """Whether this platform tells the used bytes of the C heap (psutil on glibc, macOS, Windows)."""
        return self._heap_info is not None

    def sample(self) -> int:
        """Read every sensor into the next row of the columns; returns RSS in bytes.

        Raises:
            SensorError: when no sensor of this platform tells anything.
        """
        i = self.count
        rss, vms = self.resident()
        self.rss_bytes[i], self.vms_bytes[i] = rss, vms
        self.blocks[i] = sys.getallocatedblocks()
        if self._heap_info is not None:
            if i % self._heap_every and i:
                self.heap_bytes[i] = self.heap_bytes[i - 1]
            else:
                start = self._timer()
                used, mapped = self._heap_info()
                self.heap_bytes[i] = used + mapped
                # Walking a badly fragmented heap takes milliseconds.
                self._heap_every = 2 if self._timer() - start > _SLOW_HEAP_READING_S else 1
        self.count = i + 1
        if not (rss or self.heap_bytes[i] or self.blocks[i]):
            raise SensorError(f"nothing was measured: RSS, C heap and Python blocks all read 0 here; {_ELSEWHERE}")
        return rss

    def row(self, i: int) -> tuple[int, int, int, int]:
        """One sample: RSS, mapped bytes, bytes of the C heap (-1: unknown), Python's blocks."""
        heap = self.heap_bytes[i] if self.has_heap else -1
        return self.rss_bytes[i], self.vms_bytes[i], heap, self.blocks[i]

    def resident(self) -> tuple[int, int]:
        """RSS and mapped bytes now.

        Raises:
            SensorError: when the system refuses to tell.
        """
        if self._statm is not None:
            try:
                size, resident, *_ = os.pread(self._statm, 64, 0).split()
                return int(resident) * _PAGE_BYTES, int(size) * _PAGE_BYTES
            except (OSError, ValueError):
                self._statm = None  # the app has closed every descriptor, as a daemon does
        import psutil

        try:
            memory = self._process.memory_info()
        except psutil.Error as error:
            said = f"nothing was measured: the memory of this process cannot be read ({type(error).__name__})"
            raise SensorError(f"{said}; {_ELSEWHERE}") from error
        return memory.rss, memory.vms

    def heap_bytes_now(self) -> int:
        """Used bytes of the C heap now, 0 where they are unknown."""
        return sum(self._heap_info()) if self._heap_info is not None else 0

    def peak_bytes(self) -> int:
        """The highest RSS of the run, between the samples too where the system keeps it."""
        sampled = max(self.rss_bytes[: self.count], default=0)
        peak = _peak_rss_bytes()
        # The system's mark spans the life of the process: it speaks of this run only when it moved.
        return max(sampled, peak) if peak > self._peak_at_start else sampled

    def trim(self) -> tuple[int, int] | None:
        """Give freed memory back to the system; RSS in bytes before and after, None where that is not possible."""
        import psutil

        if not hasattr(psutil, "heap_trim"):
            return None
        before, _ = self.resident()
        psutil.heap_trim()
        return before, self.resident()[0]


def small_blocks() -> SmallBlocks | None:
    """The exact state of the small-block allocator, None where it is not in use (0.5 ms).

    The interpreter prints it on file descriptor 2, which is redirected for that moment.
    """
    if not hasattr(sys, "_debugmallocstats"):
        return None
    blocks = sys.getallocatedblocks()
    try:
        stderr = os.dup(2)
    except OSError:
        return None
    try:
        with tempfile.TemporaryFile() as target:  # where no descriptor or space is left, nothing is known
            os.dup2(target.fileno(), 2)
            try:
                sys._debugmallocstats()
            finally:
                os.dup2(stderr, 2)
            target.seek(0)
            text = target.read().decode("ascii", "replace")
    except OSError:
        return None
    finally:
        os.close(stderr)
    used = re.search(r"# bytes in allocated blocks\s+=\s+([\d,]+)", text)
    arenas = re.search(r"arenas \* \d+ bytes/arena\s+=\s+([\d,]+)", text)
    if used is None or arenas is None or not blocks:
        return None
    return SmallBlocks(
        blocks=blocks,
        used_bytes=int(used[1].replace(",", "")),
        arena_bytes=int(arenas[1].replace(",", "")),
    )


def available_bytes() -> int:
    """Memory that this process could still take: the machine's, or what is left of the container's limit."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit = _cgroup_limit_bytes()
    if limit is None:
        return free
    return max(0, min(free, limit - int(psutil.Process().memory_info().rss)))


def memory_limit_bytes() -> int:
    """The container's memory limit, else 2 GiB."""
    return _cgroup_limit_bytes() or _DEFAULT_MEMORY_LIMIT_BYTES


def _cgroup_limit_bytes() -> int | None:
    for path in _CGROUP_LIMITS:
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < 2**60:  # version 1 writes a huge number for "none"
            return int(text)
    return None


def _peak_rss_bytes() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) * 1024 if match else 0
