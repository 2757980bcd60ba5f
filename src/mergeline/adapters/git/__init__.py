"""Git, by its command line.

The working copy's commits and branches, its trees without a checkout of them, private checkouts for
stages, and annotated tags as the pages of a ledger.

    repository.py   a working copy: revisions, composed trees, origin, pages of a ledger
    tree.py         the files of one tree, read from Git's objects

    >>> repository = Repository.at(Path.cwd())
    >>> repository.tree("main").read("params.yaml")

Both run git by `mergeline.system.git_command`, which makes git's errors a `GitError`. What a person
can mend in the repository (no commit, a shallow clone) is a `RepositoryError` of `repository.py`.
"""
