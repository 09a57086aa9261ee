"""Open file descriptors: how many, and what they are."""

from __future__ import annotations

import functools
import os
import socket
import stat
import sys
from collections import Counter

from pytest_memleak.model import ResourceGroup

# Both list one entry for each descriptor of this process, and one for the listing itself.
_DIRECTORY = next((path for path in ("/proc/self/fd", "/dev/fd") if os.path.isdir(path)), None)
# From here on the system gives out ports by itself: the number says nothing about the peer.
_FIRST_EPHEMERAL_PORT = 32_768


def can_count() -> bool:
    """Whether descriptors can be listed on this platform."""
    return _DIRECTORY is not None


def count_descriptors() -> int:
    """The number of open descriptors."""
    try:
        if _DIRECTORY is None:
            return 0
        return os.stat(_DIRECTORY).st_size if _tells_size() else len(os.listdir(_DIRECTORY)) - 1
    except OSError:  # not even that one is left
        return most_descriptors()


@functools.cache
def _tells_size() -> bool:
    """Whether the size of the directory is the count, as in Linux 6.2 and later: 3 us instead of 8 to 30."""
    return _DIRECTORY is not None and os.stat(_DIRECTORY).st_size == len(os.listdir(_DIRECTORY)) - 1


def most_descriptors() -> int:
    """The number of descriptors that this process may have; a negative one means any number."""
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def describe_descriptors() -> tuple[ResourceGroup, ...]:
    """The open descriptors by what they are, the most frequent first."""
    names: Counter[str] = Counter()
    for entry in os.listdir(_DIRECTORY) if _DIRECTORY else ():
        try:
            names[_name(int(entry))] += 1
        except (OSError, ValueError):  # the listing's own, or closed by another thread meanwhile
            continue
    return tuple(ResourceGroup(name=name, count=count) for name, count in names.most_common())


def _name(fd: int) -> str:
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        return _socket_name(fd)
    if stat.S_ISFIFO(mode):
        return "pipe"
    target = os.readlink(f"/proc/self/fd/{fd}") if sys.platform == "linux" else ""
    if target.startswith("anon_inode:"):  # anon_inode:[eventpoll]
        return target.partition(":")[2].strip("[]")
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return f"file {target}".rstrip()
    return target or "other descriptor"


def _socket_name(fd: int) -> str:
    # The duplicate is what gets closed when the socket object goes.
    with socket.socket(fileno=os.dup(fd)) as duplicate:
        try:
            peer = duplicate.getpeername()
        except OSError:
            local = duplicate.getsockname()
            return f"unconnected socket at {_address(local)}" if local else "unconnected socket"
        local = duplicate.getsockname()
    if not isinstance(peer, tuple):
        return f"socket to {_address(peer or local)}" if peer or local else "socket pair"
    if peer[1] >= _FIRST_EPHEMERAL_PORT > local[1]:
        return f"socket accepted at {_address(local)}"
    return f"socket to {_address(peer)}"


def _address(address: object) -> str:
    if isinstance(address, tuple):
        return f"{address[0]}:{address[1]}"
    return os.fsdecode(address) if isinstance(address, bytes) else str(address)
