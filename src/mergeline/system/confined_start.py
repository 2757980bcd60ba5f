"""The first thing that runs inside a confined child: raise the walls, then run the module.

    python -P -s -m mergeline.system.confined_start ORDER

ORDER is the JSON that `mergeline.system.confinement` writes. Landlock and the system-call filter
can only be put on by the process that they confine, and so can limits on what it takes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import runpy
import signal
import site
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# linux/landlock.h, linux/prctl.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH, _VERSION = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ALL_FILES = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # number of access rights by ABI
_NET_SINCE, _SCOPES_SINCE = 4, 6
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_CLONE_THREAD = 0x00010000
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/dev/full")
_KERNEL = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu")
# System calls that reach other processes, the network, kernel interfaces, or start programs.
_FORBIDDEN = (
    "socket", "connect", "io_uring_setup",
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open", "pidfd_getfd",
    "pidfd_send_signal", "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
    "fork", "vfork", "execve", "execveat", "unshare", "setns", "mount", "umount2", "pivot_root",
    "chroot", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key",
    "shmget", "semget", "msgget", "mq_open", "setuid", "setgid", "setresuid", "setresgid",
    "setpriority", "sched_setaffinity", "sched_setattr", "sched_setscheduler", "sched_setparam",
    "ioprio_set", "migrate_pages", "move_pages", "setsid", "setpgid",
)  # fmt: skip


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64),
    )  # fmt: skip


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def begin(order: Mapping[str, Any]) -> None:
    """Raise the walls around this process and run the module as `__main__`."""
    _limit(order["limits"])
    if order["walls"] == "landlock":
        restrict_files(order["readable"], order["scratch"])
        drop_rights()
    if order["walls"] != "none":
        filter_system_calls()
    if sys.platform == "linux":  # last: a change of rights forgets it
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if order["walls"] != "bubblewrap" and os.getppid() != order["parent"]:
            sys.exit("the parent is gone")
    if order["packages"]:
        _use_packages(order["packages"])
    sys.argv = [order["module"], *order["arguments"]]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


def _use_packages(folder: str) -> None:
    """Import from this folder, and of what is installed only Python's own library.

    This package is imported already, and so stays where it is.
    """
    library = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    sys.path[:] = [
        place
        for place in sys.path
        if place.endswith(".zip") or (place.startswith(tuple(library)) and "-packages" not in place)
    ]
    site.addsitedir(folder)


def _limit(limits: dict[str, float]) -> None:
    import resource

    data = int(limits["memory_mb"] * 1e6)
    wanted = {
        "RLIMIT_CPU": int(limits["seconds"]) + 1,
        # RLIMIT_DATA counts private memory that can be written, threads' stacks included; the
        # address space also has shared memory, and libraries that reserve more than they use.
        "RLIMIT_DATA": data,
        "RLIMIT_AS": data + 16 * 10**9,
        "RLIMIT_FSIZE": int(limits["file_mb"] * 1e6),
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 1_024,
    }
    for name, value in wanted.items():
        kind = getattr(resource, name, None)
        if kind is not None:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (value, value))


def restrict_files(readable: Sequence[str], scratch: str) -> None:
    """Landlock: read what is listed, write in `scratch`, no TCP, no signals out, nothing else.

    Raises:
        OSError: the kernel has no Landlock.
    """
    libc = _libc()
    abi = _checked(libc.syscall(_CREATE_RULESET, None, 0, _VERSION), "landlock")
    every = (1 << _ALL_FILES.get(abi, 16)) - 1
    rules = _Ruleset(every, 0b11 if abi >= _NET_SINCE else 0, 0b11 if abi >= _SCOPES_SINCE else 0)
    size = 8 if abi < _NET_SINCE else 16 if abi < _SCOPES_SINCE else 24
    ruleset = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0), "landlock")
    read = _EXECUTE | _READ_FILE | _READ_DIR
    places: dict[str, int] = dict.fromkeys([*readable, *_KERNEL], read)
    places |= dict.fromkeys(_DEVICES, _READ_FILE | _WRITE_FILE) | {scratch: every}
    for path, allowed in places.items():
        if not Path(path).exists():
            continue
        if not Path(path).is_dir():
            allowed &= _EXECUTE | _READ_FILE | _WRITE_FILE  # noqa: PLW2901 - rights of a file
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = _PathBeneath(allowed, handle)
        added = libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
        _checked(added, path)
        os.close(handle)
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock")
    os.close(ruleset)


def drop_rights() -> None:
    """Give up every capability, which a process of root has."""

    class Header(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    libc = _libc()
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    none = (ctypes.c_uint32 * 6)()
    header = Header(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3
    _checked(libc.capset(ctypes.byref(header), ctypes.byref(none)), "capset")


def filter_system_calls() -> None:
    """Refuse the calls that no model needs; threads are let through, processes are not."""
    import pyseccomp

    calls = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in _FORBIDDEN:
        with contextlib.suppress(ValueError, OSError):  # not known to this processor
            calls.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
    # Limits of another process; a process may still ask for its own.
    other = pyseccomp.Arg(0, pyseccomp.NE, 0)
    calls.add_rule(pyseccomp.ERRNO(errno.EPERM), "prlimit64", other)
    # The parent looks at which files a process holds; one that is not dumpable hides them.
    dumpable = pyseccomp.Arg(0, pyseccomp.EQ, _PR_SET_DUMPABLE)
    calls.add_rule(pyseccomp.ERRNO(errno.EPERM), "prctl", dumpable)
    # The flags of clone3 lie in memory, where a filter cannot look: the C library then uses clone.
    calls.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    no_thread = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0)
    calls.add_rule(pyseccomp.ERRNO(errno.EPERM), "clone", no_thread)
    calls.load()


def _libc() -> Any:  # noqa: ANN401 - ctypes has no type for a library's functions
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


if __name__ == "__main__":
    begin(json.loads(sys.argv[1]))
