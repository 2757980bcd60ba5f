"""Run the command line as on Windows: without what its Python lacks, as far as our code asks.

    python tests/support/as_windows.py plan --json

Modules of mergeline, and no others, find no module or function that only POSIX has.
"""

from __future__ import annotations

import builtins
import os
import signal
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

NO_MODULE = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NO_NAME: Mapping[str, Sequence[str]] = {
    "os": (
        "chown", "fork", "getegid", "geteuid", "getgid", "getpgid", "getuid", "killpg", "mkfifo",
        "nice", "pidfd_open", "setgid", "setpgid", "setsid", "setuid", "sched_getaffinity",
        "statvfs", "uname", "wait4",
    ),
    "signal": (
        "ITIMER_REAL", "SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR1",
        "alarm", "pthread_sigmask", "setitimer", "sigwait",
    ),
}  # fmt: skip


class Lacking(ModuleType):
    """A module without some of its names, and with others instead."""

    def __init__(self, whole: ModuleType, gone: Sequence[str], **instead: object) -> None:
        super().__init__(whole.__name__)
        self.__dict__.update(instead, whole=whole, gone=frozenset(gone))

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__["gone"]:
            raise AttributeError(f"Windows has no {self.__name__}.{name}")
        return getattr(self.__dict__["whole"], name)


def pretend() -> None:
    """Have modules of mergeline that are imported from now on see Windows."""
    known = {
        "os": Lacking(os, NO_NAME["os"], name="nt"),
        "signal": Lacking(signal, NO_NAME["signal"]),
    }
    whole = builtins.__import__

    def lacking(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - as Python calls it
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if str((globals or {}).get("__name__", "")).startswith("mergeline") and level == 0:
            if name.partition(".")[0] in NO_MODULE:
                raise ImportError(f"Windows has no module {name}")
            if name in known:
                return known[name]
        return whole(name, globals, locals, fromlist or (), level)

    builtins.__import__ = lacking


if __name__ == "__main__":
    pretend()
    from mergeline.cli.main import main

    main()
