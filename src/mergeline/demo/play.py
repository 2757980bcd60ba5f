"""The story: six acts of the reference project, from a first release to two merges at once."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergeline.adapters.git.tree import Tree
from mergeline.adapters.models.folder import read_inputs
from mergeline.adapters.scoring_server import Client, records, running_server
from mergeline.core.release.ledger import Entry
from mergeline.core.report.render.terminal import to_terminal
from mergeline.demo import flights
from mergeline.demo.flights import MODEL
from mergeline.demo.people import Workplace
from mergeline.demo.screen import Screen
from mergeline.errors import ForgeError, InputError, NotFoundError
from mergeline.lifecycle.steps.champion import find_champion

if TYPE_CHECKING:
    from rich.console import RenderableType

ShowLedger = Callable[[Sequence[Entry]], "RenderableType"]

_BETTER = ("params.yaml", "learning_rate: 0.05", "learning_rate: 0.1")
_SLOWER = ("params.yaml", "learning_rate: 0.1", "learning_rate: 0.08")
_SMALLER = ("params.yaml", "min_samples_leaf: 100", "min_samples_leaf: 80")
_WORSE = ("params.yaml", "max_iter: 60 ", "max_iter: 2 ")


def play(here: Path, *, workspace: Path | None, keep: bool, ledger_table: ShowLedger) -> None:
    """Play the story of the reference project that `here` lies in.

    A `workspace` is an empty or new folder that is left for exploring. Without it the story plays
    in a temporary folder, which is left only with `keep`.

    Raises:
        InputError: `here` is not in a clone of the reference project, or `workspace` is not empty.
    """
    tree = flights.reference_project(here)
    with _workspace(workspace, keep=keep) as folder:
        story = _Story(folder)
        story.set_up(tree)
        people = story.people
        command = [sys.executable, "-m", "mergeline", "serve", "--port", "0", "--poll", "0.5"]
        root, environment = people.runner.root, people.environment
        with running_server(command, cwd=root, env=environment) as people.server:
            story.acts()
            story.releases(ledger_table)
        story.where_to_look(kept=keep or workspace is not None)


class _Story:
    """The people at work on the flights, and the screen that shows what they do."""

    def __init__(self, folder: Path) -> None:
        self.screen = Screen()
        self.people = Workplace(folder, self.screen.narrate)

    def set_up(self, tree: Tree) -> None:
        """Main holds the drops of January to June."""
        self.screen.narrate(f"workspace {self.people.root}")

        def write_project() -> None:
            root = self.people.author.root
            flights.write_files(tree, root)
            self.screen.narrate("making the drops of January to June, and pushing them")
            flights.add_drops(root, range(1, 7))

        self.people.set_up(write_project, "Flights and weather of January to June 2013")

    def acts(self) -> None:
        """The six acts."""
        people, act = self.people, self.screen.act
        act(1, "main holds January to June 2013; its first release")
        self.release("origin/main")

        act(2, "a pull request changes params.yaml")
        number = self.propose("faster-learning", "Learn faster", lambda: people.edit(*_BETTER))
        self.review(number)
        self.merge(number)

        act(3, "a pull request adds July")
        root = people.author.root
        number = self.propose("add-july", "Add July", lambda: flights.add_drops(root, range(7, 8)))
        self.review(number)
        july = self.merge(number)

        act(4, "a pull request makes the model worse")
        number = self.propose("tiny-model", "Train for a moment only", lambda: people.edit(*_WORSE))
        self.review(number)
        try:  # Rex presses the button all the same
            self.merge(number)
        except ForgeError as error:
            self.screen.show(f"  the forge refuses to merge: [red]{error.message}[/]")

        act(5, "git revert of the July merge")
        number = self.propose(
            "revert-july",
            "Revert the July drop",
            lambda: people.author.git("revert", "--no-commit", july),
        )
        self.review(number)
        self.merge(number)

        act(6, "two pull requests at once: the second was never judged on top of the first")
        numbers = [
            self.propose(name, title, partial(people.edit, *edit))
            for name, title, edit in (
                ("slower-learning", "Learn a little slower", _SLOWER),
                ("smaller-leaves", "Look at smaller leaves", _SMALLER),
            )
        ]
        for number in numbers:
            self.review(number)
        for number in numbers:
            self.merge(number)

    def propose(self, branch: str, title: str, change: Callable[[], object]) -> int:
        """Ana changes something on a branch and opens a pull request; its number."""
        self.people.branch(branch)
        change()
        self.people.commit(title)
        number = self.people.push(branch, title)
        self.screen.show(f"  pull request [bold]#{number}[/] {title}")
        changed = self.people.author.git("diff", "--stat=72", "origin/main", branch).splitlines()
        for line in changed[:-1]:
            self.screen.show(f"    [dim]{line.strip()}[/]")
        return number

    def review(self, number: int) -> None:
        """A job evaluates a pull request, a trusted one takes the bundle in and comments."""
        bundle = self.people.root / "bundles" / f"pull-request-{number}"
        evaluated = self.people.review(number, bundle)
        self.people.publish(number, bundle)
        self.screen.show(to_terminal(evaluated.report))
        if evaluated.exit_code:
            self.screen.show(f"  evaluate ends with [red]exit code {evaluated.exit_code}[/]")

    def merge(self, number: int) -> str:
        """Rex squash-merges; a job releases what main is then."""
        sha = self.people.merge(number)
        self.screen.show(f"  squash-merged as [bold]{sha[:8]}[/]")
        self.release(sha)
        return sha

    def release(self, revision: str) -> None:
        """A job releases a commit of main; then somebody asks the served model about a flight."""
        self.people.check_out(revision)
        released = self.people.release()
        for line in (released.sentence, *released.plan.refusal[1:]):
            self.screen.show(f"  [green]{line}[/]")
        answer = Client(self.people.server).predict(MODEL, self._a_flight, stage="production")
        late = answer.predictions[0][1]
        self.screen.show(
            f"  asked over HTTP: v{answer.version} ({answer.model_digest[:8]}) says "
            f"[bold]{late:.1%}[/] late"
        )

    def releases(self, ledger_table: ShowLedger) -> None:
        """The end: the ledger, and what the server says that it serves."""
        self.screen.heading("The releases")
        self.screen.show(ledger_table(self.people.project().ledger(MODEL)))
        self.screen.show("")
        for version in Client(self.people.server).versions(MODEL):
            if version["stage"] == "Production":
                name = f"{MODEL} v{version['version']} ({version['model_digest'][:8]})"
                self.screen.show(f"serving now, by the server's word: {name}")
        self.screen.show(f"the whole story took {self.screen.seconds:.0f} s")

    def where_to_look(self, *, kept: bool) -> None:
        """What is left, with Ana's clone on main."""
        if kept:
            self.people.author.git("checkout", "--quiet", "main")
            self.people.author.git("pull", "--quiet", "--tags")
        self.screen.where_to_look(self.people, kept=kept)

    @cached_property
    def _a_flight(self) -> list[dict[str, Any]]:
        """One flight of the first holdout, the same in each act."""
        import pandas as pd

        project = self.people.project()
        champion = find_champion(project, MODEL)
        if champion is None:
            raise NotFoundError("nothing is in production")
        flights = pd.read_parquet(champion.trained.holdout)
        return records(flights.head(1)[list(read_inputs(champion.trained.model))])


@contextlib.contextmanager
def _workspace(named: Path | None, *, keep: bool) -> Iterator[Path]:
    if named is None and not keep:
        prefix = "mergeline-demo-"
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
            yield Path(folder).resolve()
        return
    kept = named or Path(tempfile.mkdtemp(prefix="mergeline-demo-"))
    if kept.exists() and any(kept.iterdir()):
        raise InputError(
            "the workspace is not empty", where=str(kept), next_step="Name a new folder"
        )
    kept.mkdir(parents=True, exist_ok=True)
    yield kept.resolve()
