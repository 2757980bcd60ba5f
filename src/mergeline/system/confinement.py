"""A child process behind walls, for code that nobody vouches for, such as a pickled model.

Such code may do what it likes in its own process. The walls keep it there: it sees no environment
but its own, no file but Python and what it was given, no network and no other process; it cannot
gain rights, outlive its parent, or take more time, memory, processes or output than it may.

Two kinds of walls are known. *Landlock* needs neither namespaces nor an installed program, so it
works where a kernel restricts namespaces, and a process can put it on itself: children are forked
with their libraries imported. *bubblewrap* gives the child namespaces of its own. With both goes a
filter that refuses system calls which no model needs, such as starting a process. Neither is
trusted because it is there: `find_walls` starts a probe behind them that tries to get out, and what
it could do is said.

    walls = find_walls()
    with start_confined(walls, "some.module", ["argument"], readable=[folder]) as child:
        child.stdin.write(question)
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal

from mergeline.system.confined_forks import Fork, fork

WallKind = Literal["bubblewrap", "landlock", "none"]
_PROBE_SECONDS = 20.0
_START = "mergeline.system.confined_start"
_PROBE = "mergeline.system.confinement_probe"
# Shared libraries, and what the dynamic loader and the C library read.
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/localtime")
_NOBODY = "65534"
_OWN_TMP = "/tmp"  # noqa: S108 - a file system of the child's own


@dataclass(frozen=True)
class Limits:
    """What a confined child may take.

    Attributes:
        seconds: of processor time; the parent holds it to its own clock.
        memory_mb: of its data, in 10^6 bytes.
        file_mb: size of a file that it writes.
        scratch_mb: of all that it writes in its scratch folder.
    """

    seconds: float = 600.0
    memory_mb: float = 8_000.0
    file_mb: float = 100.0
    scratch_mb: float = 256.0


@dataclass(frozen=True)
class Walls:
    """How a child is confined, and what a probe behind these walls could still do.

    Attributes:
        gaps: one sentence each; empty where the walls held against every attempt.
    """

    kind: WallKind
    gaps: tuple[str, ...]

    @property
    def hold(self) -> bool:
        """Whether the probe got nowhere."""
        return not self.gaps

    def __str__(self) -> str:
        name = {"bubblewrap": "bubblewrap", "landlock": "Landlock", "none": "no walls"}[self.kind]
        return f"{name}: {', '.join(self.gaps)}" if self.gaps else f"{name}, tried and tight"


@dataclass
class Confined:
    """A running confined child.

    Attributes:
        stdin, stdout: its pipes.
        ended_for: what it did for which it was ended; empty if it was not.
    """

    process: subprocess.Popen[bytes] | Fork
    stdin: IO[bytes]
    stdout: IO[bytes]
    _tail: _Tail
    ended_for: str = ""
    _is_over: bool = False
    _ending: threading.Lock = field(default_factory=threading.Lock)

    def end(self) -> None:
        """End it and whatever it has started; once, for its number may be another's later."""
        with self._ending:
            if self._is_over:
                return
            self._is_over = True
            if isinstance(self.process, Fork):  # its walls let it start no process
                self.process.end()
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def last_words(self) -> str:
        """The end of what it wrote to standard error: untrusted text."""
        return self._tail.text()


def find_walls() -> Walls:
    """The best walls of this machine: the first that hold, else those with the fewest gaps.

    Each kind that can be had is tried by a probe, which takes some tenths of a second.
    """
    tried = []
    for kind in _kinds():
        walls = Walls(kind, probe(kind))
        if walls.hold:
            return walls
        tried.append(walls)
    return min(tried, key=lambda walls: len(walls.gaps))


@contextlib.contextmanager
def start_confined(
    walls: Walls,
    module: str,
    arguments: Sequence[str] = (),
    *,
    readable: Sequence[Path] = (),
    packages: Path | None = None,
    imports: Sequence[str] = (),
    limits: Limits | None = None,
    stdin: socket.socket | None = None,
) -> Iterator[Confined]:
    """Run a Python module behind walls for as long as the context lasts.

    Args:
        walls: as `find_walls` found them.
        module: is run as `__main__`; it and what it imports must be installed, or in `packages`.
        arguments: of the command line.
        readable: files and folders that it may read beside Python itself.
        packages: folder that takes the place of the packages that are installed; nothing of it
            runs before the walls are up. This package stays as it is.
        imports: installed modules that it will need. Where the walls allow it, one process
            imports them for all children, and each begins with them.
        limits: None: the usual ones.
        stdin: a socket that it gets as its standard input; None: a pipe.
    """
    limits, kind = limits or Limits(), walls.kind
    with tempfile.TemporaryDirectory(prefix="mergeline-confined-") as scratch:
        places = [str(path.resolve()) for path in (*readable, *([packages] if packages else []))]
        can_read = [*_python_places(), *places]
        order = {
            "module": module,
            "arguments": list(arguments),
            "limits": asdict(limits),
            "walls": kind,
            "parent": os.getpid(),
            "readable": can_read,
            "scratch": _OWN_TMP if kind == "bubblewrap" else scratch,
            "packages": str(packages.resolve()) if packages else None,
        }
        process: subprocess.Popen[bytes] | Fork
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            (asked, answers, errors), handles = _pipes(theirs, stdin)
            for pipe in (asked, answers, errors):
                ours.callback(pipe.close)
            if kind == "landlock" and packages is None:
                process = fork({**order, "imports": list(imports)}, _environment("/"), handles)
            else:
                # -P: nothing is imported from the current folder; -s: nor from a home.
                command = [sys.executable, "-P", "-s", "-B", "-m", _START, json.dumps(order)]
                if kind == "bubblewrap":
                    command = [*_bubblewrap(can_read, limits.scratch_mb), *command]
                process = subprocess.Popen(
                    command,
                    stdin=handles[0], stdout=handles[1], stderr=handles[2],
                    cwd=scratch, env=_environment(scratch), start_new_session=True,
                )  # fmt: skip
            ours.pop_all()  # it runs: they are closed at its end
        child = Confined(process, asked, answers, _Tail(errors))
        watch = _ScratchWatch(child, Path(scratch), limits.scratch_mb)
        try:
            yield child
        finally:
            child.end()
            watch.stop()
            for pipe in (asked, answers):
                with contextlib.suppress(OSError):
                    pipe.close()


def _pipes(
    theirs: contextlib.ExitStack, stdin: socket.socket | None
) -> tuple[tuple[IO[bytes], IO[bytes], IO[bytes]], tuple[int, int, int]]:
    """Our ends of a child's standard input, output and error, and its own, to be closed here."""
    opened = [os.pipe() for _ in range(2 if stdin else 3)]
    (answers, its_output), (errors, its_errors) = opened[-2:]
    handles = (stdin.fileno() if stdin else opened[0][0], its_output, its_errors)
    for handle in handles[1 if stdin else 0 :]:
        theirs.callback(os.close, handle)
    asked = io.BytesIO() if stdin else os.fdopen(opened[0][1], "wb")
    return (asked, os.fdopen(answers, "rb"), os.fdopen(errors, "rb")), handles


class _Tail:
    """Reads a pipe to its end and keeps the last of it."""

    def __init__(self, pipe: IO[bytes], keep: int = 4_000) -> None:
        self._kept, self._keep = b"", keep
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while chunk := pipe.read1(65_536):  # type: ignore[attr-defined]
                self._kept = (self._kept + chunk)[-self._keep :]

    def text(self) -> str:
        self._thread.join(timeout=2)
        return self._kept.decode(errors="replace")


class _ScratchWatch:
    """Ends a child whose scratch folder grows too large: a limit holds for each file only.

    A file system of the child's own, as bubblewrap gives it, has a size; there this sees nothing.
    """

    _SECONDS = 0.1
    _MOST_FILES = 10_000

    def __init__(self, child: Confined, scratch: Path, most_mb: float) -> None:
        self._child, self._scratch, self._most = child, scratch, most_mb * 1e6
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(self._SECONDS):
            files, size = 0, self._nameless()
            for path in self._scratch.rglob("*"):
                files += 1
                with contextlib.suppress(OSError):
                    size += path.lstat().st_blocks * 512
                if files > self._MOST_FILES:
                    break
            if files > self._MOST_FILES or size > self._most:
                self._child.ended_for = "it filled its scratch folder"
                self._child.end()
                return

    def _nameless(self) -> int:
        """Bytes of its files that were removed, and are still open or mapped."""
        process, size = Path("/proc") / str(self._child.process.pid), 0
        with contextlib.suppress(OSError):
            for handle in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(handle.readlink()).startswith(f"{self._scratch}/"):
                        found = handle.stat()
                        size += 0 if found.st_nlink else found.st_blocks * 512
            for line in (process / "maps").read_text(errors="replace").splitlines():
                if f" {self._scratch}/" in line and line.endswith("(deleted)"):
                    start, _, end = line.split(maxsplit=1)[0].partition("-")
                    size += int(end, 16) - int(start, 16)
        return size


def _kinds() -> list[WallKind]:
    found: list[WallKind] = []
    if sys.platform == "linux":
        found.append("landlock")  # first: its children are forked, in a tenth of the time
        if shutil.which("bwrap"):
            found.append("bubblewrap")
    return [*found, "none"]


def _bubblewrap(readable: Sequence[str], scratch_mb: float) -> list[str]:
    command = [
        shutil.which("bwrap") or "bwrap",
        "--unshare-all", "--die-with-parent", "--new-session", "--clearenv",
        "--uid", _NOBODY, "--gid", _NOBODY, "--cap-drop", "ALL",
        "--proc", "/proc", "--dev", "/dev",
        "--size", str(int(scratch_mb * 1e6)), "--tmpfs", _OWN_TMP,
    ]  # fmt: skip
    for path in readable:
        command += ["--ro-bind", path, path]
    for name, value in _environment(_OWN_TMP).items():
        command += ["--setenv", name, value]
    return [*command, "--remount-ro", "/proc", "--remount-ro", "/", "--chdir", _OWN_TMP, "--"]


def _environment(home: str) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        # One thread for each library: the answers and their times are then those of a server.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "JOBLIB_MULTIPROCESSING": "0",
    } | {name: value for name, value in os.environ.items() if name == "OPENBLAS_CORETYPE"}


def _python_places() -> list[str]:
    """Where Python, its packages and this one are."""
    paths = sysconfig.get_paths()
    places = [sys.base_prefix, sys.prefix, paths["purelib"], paths["platlib"], paths["stdlib"]]
    wanted = [*_SYSTEM, *places, str(Path(__file__).parents[1])]
    there = [path for path in dict.fromkeys(wanted) if Path(path).exists()]
    return [path for path in there if not any(_is_inside(path, other) for other in there)]


def _is_inside(path: str, other: str) -> bool:
    return path != other and Path(path).is_relative_to(other)


def probe(kind: WallKind) -> tuple[str, ...]:
    """What code behind such walls can do that it should not; tried, not looked up."""
    with tempfile.TemporaryDirectory(prefix="mergeline-probe-") as folder, _bait() as bait:
        secret, forbidden = Path(folder) / "secret", Path(folder) / "written"
        secret.write_text("secret", encoding="utf-8")
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(1)
            targets = {
                "pid": bait.pid,
                "parent": os.getpid(),
                "port": server.getsockname()[1],
                "secret": str(secret),
                "forbidden": str(forbidden),
                "environment": [*_environment(folder), "PWD", "LC_CTYPE"],
            }
            limits = Limits(seconds=_PROBE_SECONDS, memory_mb=1_000)
            order = [json.dumps(targets)]
            with start_confined(Walls(kind, ()), _PROBE, order, limits=limits) as child:
                timer = threading.Timer(_PROBE_SECONDS, child.end)
                timer.start()
                answer = child.stdout.read(10_000)
                timer.cancel()
                words = child.last_words
        try:
            gaps = [str(gap) for gap in json.loads(answer)]
        except ValueError:
            return (f"the probe did not run: {' '.join(words().split())[-200:] or 'no answer'}",)
        if forbidden.exists() and "it can write files" not in gaps:
            gaps.append("it can write files")
        return tuple(gaps)


@contextlib.contextmanager
def _bait() -> Iterator[subprocess.Popen[bytes]]:
    """Another process with a secret in its environment, for the probe to look for."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        env={"MERGELINE_PROBE_SECRET": "secret"},
    ) as process:
        yield process
        process.kill()
