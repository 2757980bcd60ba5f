"""DVC as the runner of stages: `dvc repro` in a checkout of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from mergeline.errors import StageError
from mergeline.system.child_process import end_child, start_child
from mergeline.system.environment import without_repository
from mergeline.system.progress import Step, underway

_RUNNING = re.compile(r"Running (?:stage|callback stage) '([^']+)'")
_SKIPPED = re.compile(r"Stage '([^']+)' (?:is cached|didn't change)")
_FAILED = re.compile(r"failed to reproduce '([^']+)'(?:: (.*))?")
_TAIL = 30  # lines of a failed stage that are kept


def share_cache(checkout: Path, cache: Path) -> None:
    """Let a checkout use another's cache of results, and restore from it by links.

    A committed `dvc.lock` is removed: its content must not decide what runs.
    """
    (checkout / "dvc.lock").unlink(missing_ok=True)
    (checkout / ".dvc").mkdir(exist_ok=True)
    local = checkout / ".dvc" / "config.local"
    local.write_text(f"[core]\n    analytics = false\n[cache]\n    dir = {cache}\n")


def reproduce(
    checkout: Path, stage: str, *, environment: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, float]:
    """Run a stage and those before it, as `dvc repro STAGE` does; the seconds of each that ran.

    `environment` comes on top of this process's; `say` is told when a stage starts or is skipped.

    Raises:
        StageError: a stage failed, or DVC refused.
    """
    output = _ReproOutput(say)
    # The stages' `python` and `mergeline` are those that run here.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    process = start_child(
        [sys.executable, "-m", "dvc", "repro", stage],
        cwd=checkout,
        env={**without_repository(os.environ), **environment, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process, ExitStack() as at_the_end:
        at_the_end.callback(output.end_stage)
        try:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            for line in process.stdout:
                output.line(line.rstrip("\n"))
        except BaseException:
            end_child(process)
            raise
    if process.returncode != 0:
        raise output.error(stage, checkout)
    return output.seconds


class _ReproOutput:
    """Follows what `dvc repro` prints."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.seconds: dict[str, float] = {}
        self._say = say
        self._stage = ""
        self._failed = ""
        self._reason = ""
        self._since = 0.0
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._underway = ExitStack()
        self._step = Step("")

    def line(self, line: str) -> None:
        if failed := _FAILED.search(line):
            self._failed, self._reason = failed.group(1), failed.group(2) or ""
        elif running := _RUNNING.search(line):
            self.end_stage()
            self._stage, self._since = running.group(1), time.monotonic()
            self._tail.clear()
            self._step = self._underway.enter_context(underway(f"stage {self._stage}"))
            self._say(f"stage {self._stage}")
        elif skipped := _SKIPPED.search(line):
            self.end_stage()
            self._say(f"stage {skipped.group(1)}: its result is there already")
        elif line.strip() and not line.startswith(("> ", "To track", "\tgit add", "Use `dvc")):
            self._tail.append(line)
            self._step.note = line.strip()

    def end_stage(self) -> None:
        self._underway.close()
        if self._stage:
            self.seconds[self._stage] = round(time.monotonic() - self._since, 2)
            self._stage = ""

    def error(self, wanted: str, checkout: Path) -> StageError:
        stage = (self._failed or next(reversed(self.seconds), wanted)).split(":")[-1]
        lines = [line.replace(f"{checkout}/", "") for line in self._tail]
        if self._failed or self.seconds:
            problem = f"stage {stage} failed: {self._last_words(lines)}"
        else:  # what it says of a dvc.yaml begins with the reason and ends with an excerpt
            reason = " ".join(line.strip() for line in lines[:2])
            problem = f"DVC refuses: {reason.removeprefix('ERROR: ')}"
        return StageError(
            problem,
            stage=stage,
            tail="\n".join(lines),
            where="dvc.yaml",
            next_step=f"Run it by hand: dvc repro {stage}",
        )

    def _last_words(self, lines: Sequence[str]) -> str:
        """DVC's reason, unless it is that the command failed: then the command's."""
        if self._reason and not self._reason.startswith("failed to run"):
            return self._reason
        flush = [line for line in lines if not line[0].isspace()]
        return flush[-1].removeprefix("ERROR: ") if flush else self._reason
