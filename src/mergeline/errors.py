"""The errors a person can mend.

    MergelineError
    ├── InputError                 exit code 2: the request or what is in the repository
    │   ├── RepositoryError        no repository, shallow clone, detached HEAD, dirty tree
    │   ├── DeclarationError       a YAML file that cannot be read as it stands
    │   ├── DropError              a drop that is missing, changed, or breaks its contract
    │   ├── BundleError            a bundle that is incomplete or altered
    │   └── NotFoundError          a model, version, run or snapshot that does not exist
    └── ExternalError              exit code 3: a system that we depend on
        ├── GitError               git refused
        ├── StageError             a stage of dvc.yaml failed
        ├── RemoteError            the DVC remote
        ├── TableError             a Delta table
        ├── StoreError             the store of candidates and evaluations
        ├── TrackingError          MLflow: tracking or registry
        ├── ForgeError             pull requests and comments
        ├── DeployError            the serving side
        └── WallsError             what confines an untrusted model

A refusal by the gate is an outcome (exit code 1), not an error.
"""

from __future__ import annotations


class MergelineError(Exception):
    """What was wrong, where, and what to do next; printed as one line, never as a traceback.

    `where` names the file, reference or address; `next_step` is a sentence in the imperative, on a
    line of its own after a message that lists places.
    """

    exit_code = 3

    def __init__(self, message: str, *, where: str = "", next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.next_step = next_step

    def __str__(self) -> str:
        line = f"{self.where}: {self.message}" if self.where else self.message
        if not self.next_step:
            return line
        if "\n" in line:
            return f"{line}\n{self.next_step.rstrip('.')}."
        return f"{line.rstrip('.')}. {self.next_step.rstrip('.')}."


class InputError(MergelineError):
    """The request, or what the repository holds, cannot be worked with as it is."""

    exit_code = 2


class RepositoryError(InputError):
    """The Git repository lacks something: itself, history, a branch, a clean tree."""


class DeclarationError(InputError):
    """A YAML file cannot be read as it stands."""


class DropError(InputError):
    """A drop is missing, is not what its pointer says, or breaks its contract."""


class BundleError(InputError):
    """A bundle is incomplete, altered, or of an unknown form."""


class NotFoundError(InputError):
    """A named model, version, run or snapshot does not exist."""


class ExternalError(MergelineError):
    """A system that mergeline depends on failed."""


class GitError(ExternalError):
    """git refused or is not installed."""


class StageError(ExternalError):
    """A stage of dvc.yaml failed; `tail` holds the last lines it printed."""

    def __init__(
        self, message: str, *, stage: str, tail: str = "", where: str = "", next_step: str = ""
    ) -> None:
        super().__init__(message, where=where, next_step=next_step)
        self.stage = stage
        self.tail = tail


class RemoteError(ExternalError):
    """The DVC remote cannot be reached or refuses."""


class TableError(ExternalError):
    """A Delta table is damaged, cannot be reached, or cannot be written."""


class StoreError(ExternalError):
    """The store cannot be reached, refuses, or lost or altered what it was given."""


class TrackingError(ExternalError):
    """The MLflow tracking store or registry cannot be reached or refuses."""


class ForgeError(ExternalError):
    """The forge (pull requests, comments, checks) cannot be reached or refuses."""


class DeployError(ExternalError):
    """A deploy target cannot be reached, or does not serve what it should."""


class WallsError(ExternalError):
    """This machine cannot confine an untrusted model, where it must."""
