"""Git, by its command line: trees, bases, private checkouts, and tags as a ledger's pages."""

from mergeline.adapters.git.command import run_git
from mergeline.adapters.git.repository import Commit, Repository
from mergeline.adapters.git.tree import Tree

__all__ = ["Commit", "Repository", "Tree", "run_git"]
