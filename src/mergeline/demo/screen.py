"""What the spectator reads: the story on standard output, narration on standard error."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mergeline.demo.people import Workplace

if TYPE_CHECKING:
    from rich.console import RenderableType


class Screen:
    """Prints the story, and how long it took so far."""

    def __init__(self) -> None:
        from rich.console import Console

        self._out = Console(highlight=False)
        self._narration = Console(stderr=True, highlight=False)
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the story began."""
        return time.monotonic() - self._since

    def narrate(self, text: str) -> None:
        """One line of what goes on."""
        self._narration.print(f"  · {text}", soft_wrap=True, markup=False, style="dim")

    def act(self, number: int, title: str) -> None:
        """The heading of an act."""
        self.heading(f"{number}. {title}", f"  [dim]{self.seconds:.0f} s[/]")

    def heading(self, title: str, aside: str = "") -> None:
        """A blank line, and a title on a rule."""
        self._out.print()
        self._out.rule(f"[bold]{title}[/]{aside}", align="left")

    def show(self, text: RenderableType) -> None:
        """A part of the story."""
        self._out.print(text)

    def where_to_look(self, workplace: Workplace, *, kept: bool) -> None:
        """What is left in the workspace, or would be left with `--keep`."""
        folder = str(workplace.root) if kept else "FOLDER"
        lines = [
            f"runs:     mlflow ui --backend-store-uri sqlite:///{folder}/state/mlflow.db",
            f"reports:  {folder}/bundles/*/evaluation/report.html",
            f"comments: {folder}/forge/pulls/*/comments/*.md",
        ]
        if kept:
            lines += [
                "to go on as Ana, with a pull request of your own:",
                f"  cd {workplace.author.root}",
                f"  export MERGELINE_STATE={workplace.state} MERGELINE_FORGE={folder}/forge",
                f"  export PATH={Path(sys.executable).parent}:$PATH",
            ]
        else:
            lines.insert(0, "mergeline demo --keep leaves its folder, to look around in:")
        for line in lines:
            self._out.print(line, soft_wrap=True, markup=False)
