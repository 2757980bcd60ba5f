"""A real Gitea on loopback, with its Actions runner where jobs are to run.

FORGE_HOME names the folder that tests/e2e/forge/build.sh left.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

ASSETS = Path(__file__).parent.parent / "e2e" / "forge"
PASSWORD = "only-on-loopback-1"
SETTINGS = """
WORK_PATH = {work}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = {url}/
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = {static}
[database]
DB_TYPE = sqlite3
PATH = {work}/gitea.db
[security]
INSTALL_LOCK = true
SECRET_KEY = loopback
PASSWORD_HASH_ALGO = pbkdf2$1000$50
[service]
DISABLE_REGISTRATION = true
[log]
LEVEL = warn
MODE = file
ROOT_PATH = {work}/log
[actions]
ENABLED = true
DEFAULT_ACTIONS_URL = self
[repository]
ROOT = {work}/repositories
DEFAULT_BRANCH = main
[cron.update_checker]
ENABLED = false
"""


def forge_home() -> Path:
    """Where the programs are that build.sh made.

    Raises:
        LookupError: they were not made.
    """
    home = os.environ.get("FORGE_HOME")
    if not home or not (Path(home) / "bin" / "gitea").exists():
        raise LookupError(
            "FORGE_HOME names no forge; make one: bash tests/e2e/forge/build.sh FOLDER"
        )
    return Path(home)


class GiteaServer:
    """Gitea over a folder of its own; `owner` administers it.

    Attributes:
        url: of the server, without a slash at its end.
        tokens: the access token of each user.
    """

    def __init__(self, folder: Path) -> None:
        self._home, self.folder = forge_home(), folder
        work = folder / "gitea"
        work.mkdir(parents=True)
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.tokens: dict[str, str] = {}
        self._running: list[subprocess.Popen[bytes]] = []
        self._session = requests.Session()
        self._settings = work / "app.ini"
        static = self._home / "static"
        self._settings.write_text(
            SETTINGS.format(work=work, port=port, url=self.url, static=static).lstrip()
        )
        self._start("web", self._gitea("web"), work, {})
        for _ in range(600):
            try:
                if requests.get(f"{self.url}/api/v1/version", timeout=5).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.1)
        else:
            raise TimeoutError((folder / "web.log").read_text()[-2000:])
        self._command(
            "admin", "user", "create", "--username=owner", f"--password={PASSWORD}",
            "--email=owner@example.org", "--must-change-password=false", "--admin",
        )  # fmt: skip
        self._take_token("owner")

    def add_user(self, name: str) -> None:
        """A person with an access token, unless there is one of that name."""
        if name not in self.tokens:
            about = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
            self.call("POST", "/admin/users", {**about, "must_change_password": False})
            self._take_token(name)

    def call(self, method: str, path: str, body: Any = None, user: str = "owner") -> Any:
        """What the API answers; an answer that is an error is raised."""
        answer = self._session.request(
            method,
            f"{self.url}/api/v1{path}",
            json=body,
            headers={"Authorization": f"token {self.tokens[user]}"},
            timeout=60,
        )
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        if "json" in answer.headers.get("Content-Type", ""):
            return answer.json()
        return answer.text

    def clone_url(self, repository: str, user: str = "owner") -> str:
        """An address of a repository that needs no further credentials."""
        place = self.url.removeprefix("http://")
        return f"http://{user}:{self.tokens[user]}@{place}/{repository}.git"

    def start_runner(self, tools: Path, environment: Mapping[str, str]) -> None:
        """Take up jobs, two at once, in processes of this machine.

        `tools` is the folder of the `uv` that jobs call; `environment` is what jobs see beside it.
        """
        place = self.folder / "runner"
        place.mkdir()
        config, program = place / "config.yaml", self._home / "bin" / "runner"
        labels = ["ubuntu-latest:host", "ubuntu-24.04:host"]
        config.write_text(
            "runner: {capacity: 2, fetch_interval: 1s, shutdown_timeout: 1s,"
            f" labels: [{', '.join(labels)}]}}\n"
            f"host: {{workdir_parent: {place}/work}}\n"
            "cache: {enabled: false}\n"
        )
        token = self._command("actions", "generate-runner-token").split()[-1]
        subprocess.run(
            [program, "register", "--no-interactive", "--instance", self.url, "--token", token,
             "--name", "local", "--labels", ",".join(labels), "--config", config],
            cwd=place, check=True, capture_output=True,
        )  # fmt: skip
        for name in ("actions/checkout", "actions/cache", "astral-sh/setup-uv",
                     "christopherhx/gitea-upload-artifact",
                     "christopherhx/gitea-download-artifact"):  # fmt: skip
            self._push_action(name)
        own = {
            "FORGE_ACTIONS": str(ASSETS / "actions"),
            "FORGE_STORE": str(self.folder / "store"),
            "FORGE_TOOLS": str(tools),
            **environment,
        }
        self._start("runner", [program, "daemon", "--config", config], place, own)

    def close(self) -> None:
        """End what was started."""
        for running in reversed(self._running):
            os.killpg(running.pid, signal.SIGTERM)
        for running in self._running:
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()

    def _push_action(self, name: str) -> None:
        """A stand-in for one of the actions that the workflows use, tagged v1."""
        owner, short = name.split("/")
        if owner not in self.tokens:
            self.add_user(owner)
        self.call("POST", "/user/repos", {"name": short, "default_branch": "main"}, user=owner)
        self.call("PATCH", f"/repos/{name}", {"has_actions": False}, user=owner)
        place = self.folder / "actions" / name
        shutil.copytree(ASSETS / "actions" / short, place)
        git = ["git", "-c", "user.name=owner", "-c", "user.email=owner@example.org"]
        for arguments in (
            ["init", "-q", "-b", "main"],
            ["add", "-A"],
            ["commit", "-qm", "Stand in"],
            ["tag", "v1"],
            ["push", "-q", self.clone_url(name, owner), "main", "v1"],
        ):
            subprocess.run([*git, *arguments], cwd=place, check=True, capture_output=True)

    def _take_token(self, user: str) -> None:
        answer = requests.post(
            f"{self.url}/api/v1/users/{user}/tokens",
            json={"name": "tests", "scopes": ["all"]},
            auth=(user, PASSWORD),
            timeout=60,
        )
        answer.raise_for_status()
        self.tokens[user] = answer.json()["sha1"]

    def _gitea(self, *arguments: str) -> list[str]:
        return [str(self._home / "bin" / "gitea"), *arguments, "--config", str(self._settings)]

    def _command(self, *arguments: str) -> str:
        done = subprocess.run(
            self._gitea(*arguments), check=True, capture_output=True, env=self._own_environment({})
        )
        return done.stdout.decode()

    def _start(
        self, name: str, command: list[Any], place: Path, environment: Mapping[str, str]
    ) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._running.append(
                subprocess.Popen(
                    command,
                    cwd=place,
                    stdout=log,
                    stderr=log,
                    env=self._own_environment(environment),
                    start_new_session=True,
                )
            )

    def _own_environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """This process's environment without what says of what project or job it is."""
        ours = ("GITHUB_", "GITEA_", "GIT_", "MERGELINE_", "MLFLOW_", "PYTEST_", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return kept | dict(more)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def uv_folder() -> Path:
    """Where the `uv` lies that the tests run with."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise LookupError("there is no uv")
    return Path(found).parent
