"""The forge: pull requests, their comments, and the state shown beside a commit.

    base.py          what every forge does (`Forge`), and how it keeps a single report comment
    environment.py   which forge the environment names
    event.py         what the event that started a workflow says of its pull request
    github.py        a repository on GitHub
    gitea.py         a repository on Gitea or Forgejo
    folder.py        the same things as files beside a bare repository, without a server

    >>> forge = forge_from_environment(os.environ, repository.remote_url())
    >>> forge.set_status(sha, "success", "passed")

All keep one report a pull request, by the rule in `mergeline.core.report.one_comment`. Each makes
its system's errors a `ForgeError` or `NotFoundError` in its own file.
"""
