"""The probe that `mergeline.system.confinement` starts behind walls: it tries to get out.

    python -m mergeline.system.confined_start ORDER   with this module in ORDER

It prints a JSON list with a sentence for each attempt that succeeded.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Try everything and say what succeeded."""
    targets = json.loads(sys.argv[1])
    attempts: dict[str, Callable[[dict[str, Any]], bool]] = {
        "it can read other processes' environments": _reads_environment,
        "it can see its parent's process": _sees_parent,
        "it can signal its parent": _signals_parent,
        "it can change its parent's limits": _changes_limits,
        "it can read files that it was not given": _reads_file,
        "it can write files": _writes_file,
        "it can connect to the network": _connects,
        "it can send datagrams": _sends_datagram,
        "it has rights of root": _has_rights,
        "it can become root": _becomes_root,
        "it has an environment that is not its own": _inherits_environment,
    }
    print(json.dumps([gap for gap, attempt in attempts.items() if _succeeds(attempt, targets)]))  # noqa: T201


def _succeeds(attempt: Callable[[dict[str, Any]], bool], targets: dict[str, Any]) -> bool:
    try:
        return attempt(targets)
    except (OSError, ValueError, subprocess.SubprocessError):
        return False


def _reads_environment(targets: dict[str, Any]) -> bool:
    # Where it is in a namespace of its own, the number may be another process's, or its own.
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"MERGELINE_PROBE_SECRET" in (process / "environ").read_bytes():
                return True
        except OSError:
            continue
    return b"MERGELINE_PROBE_SECRET" in Path(f"/proc/{targets['pid']}/environ").read_bytes()


def _sees_parent(targets: dict[str, Any]) -> bool:
    own = {os.getpid(), os.getppid()}
    command = Path(f"/proc/{targets['pid']}/cmdline").read_bytes()
    return b"python" in command and targets["pid"] not in own


def _signals_parent(targets: dict[str, Any]) -> bool:
    os.kill(targets["parent"], 0)
    return bool(targets["parent"] != os.getpid())


def _changes_limits(targets: dict[str, Any]) -> bool:
    import resource

    before = resource.prlimit(targets["parent"], resource.RLIMIT_CORE)
    resource.prlimit(targets["parent"], resource.RLIMIT_CORE, before)
    return bool(targets["parent"] != os.getpid())


def _reads_file(targets: dict[str, Any]) -> bool:
    return Path(targets["secret"]).read_text(encoding="utf-8") == "secret"


def _writes_file(targets: dict[str, Any]) -> bool:
    Path(targets["forbidden"]).write_text("written", encoding="utf-8")
    return True


def _connects(targets: dict[str, Any]) -> bool:
    with socket.create_connection(("127.0.0.1", targets["port"]), timeout=2):
        return True


def _sends_datagram(targets: dict[str, Any]) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", targets["port"]))
        return sender.send(b"out") == 3 and not _alone_in_its_network()


def _alone_in_its_network() -> bool:
    """Whether the only interface is a loopback of its own, which reaches nobody."""
    lines = Path("/proc/net/dev").read_text(encoding="utf-8").splitlines()[2:]
    return [line.partition(":")[0].strip() for line in lines] == ["lo"]


def _has_rights(_: dict[str, Any]) -> bool:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return any(
        int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff")
    )


def _becomes_root(_: dict[str, Any]) -> bool:
    if os.getuid() != 0:
        libc = ctypes.CDLL(None)
        if libc.setuid(0) == 0 and _has_rights({}):
            return True
    asked = subprocess.run(["sudo", "-n", "id", "-u"], capture_output=True, timeout=5, check=False)
    return asked.stdout.strip() == b"0"


def _inherits_environment(targets: dict[str, Any]) -> bool:
    return not set(targets["environment"]).issuperset(os.environ)


if __name__ == "__main__":
    main()
