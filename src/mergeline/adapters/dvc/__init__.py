"""DVC: the drops behind pointers, and the stages of `dvc.yaml`.

    drops.py    a drop by its md5, out of the cache, the working tree or the remote
    stages.py   `dvc repro` in a private checkout, its progress and its failures

    >>> DropStore(root).fetch("7f3c…")
    >>> reproduce(checkout, "train", environment={}, say=print)

The cache and remote are used in process, by `dvc.repo.Repo`; stages run as a command, which can be
ended. A failure of the remote becomes a `RemoteError` in `drops.py`, that of a stage a `StageError`
in `stages.py`.
"""
