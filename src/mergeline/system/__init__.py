"""The ground floor: files, processes and imports. It knows nothing of models.

    atomic_writes.py      a file or folder that appears whole or not at all
    digests.py            SHA-256 and MD5 of a file
    locks.py              one process at a time does something
    git_command.py        one git command
    child_process.py      a command that ends when the process that started it does
    environment.py        what a command may inherit when it works in another repository
    progress.py           how far work is that takes long
    import_isolation.py   modules that are imported from one folder and forgotten afterwards

    >>> with file_lock(f"{folder}.lock"), folder_written_whole(folder) as scratch:
    ...     (scratch / "manifest.json").write_text("{}")

What stands here was needed by two adapters or more, or by an adapter and a verb. Errors are those
of Python, which the caller makes its own system's; git's alone are a `GitError`. A module here may
import `mergeline.errors` and nothing else of mergeline.
"""
