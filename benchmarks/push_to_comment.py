"""What passes between a push and the report on its pull request, by job and step.

    FORGE_HOME=FOLDER python benchmarks/push_to_comment.py

A real Gitea on loopback (tests/e2e/forge/build.sh) runs the shipped workflows for a change of the
reference project's params. Printed is a line for each step that took a second or more; the last
lines are the whole time, from the push to the comment, and what of it was the training. Steps that
fetch actions and caches are faster here than on GitHub, and jobs need not wait for a runner.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.gitea_server import GiteaServer, uv_folder  # noqa: E402
from tests.support.hosted import Hosted, write_reference  # noqa: E402


def main() -> None:
    """Start the forge, and measure on it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with contextlib.closing(GiteaServer(place)) as server:
            for user in ("ana", "ben"):
                server.add_user(user)
            server.start_runner(uv_folder(), {})
            clone = place / "clone"
            clone.mkdir()
            measure(Hosted(server, "acme/flights", clone, write_reference))


def measure(hosted: Hosted) -> None:
    """Propose a change, wait for its verdict, and print what the forge says of its jobs."""
    hosted.branch("change")
    hosted.edit("params.yaml", "max_iter: 60", "max_iter: 50")
    head = hosted.commit("Fewer trees")
    since = time.time()
    number = hosted.propose("Fewer trees")
    hosted.judged(head)
    [said] = hosted.comments(number)
    whole = moment(said["created_at"]) - since
    print("| job | step | begins after | seconds |\n|---|---|--:|--:|")
    for job in hosted.jobs():
        if job["conclusion"] != "skipped":
            steps = [step for step in job.get("steps") or [] if took(step)]
            for name, what in (
                (f"{job['name']} |", job),
                *((f"| {it['name']}", it) for it in steps),
            ):
                print(f"| {name} | {moment(what['started_at']) - since:.0f} | {took(what)} |")
    [manifest] = hosted.server.folder.glob("store/artifacts/*/*/bundle/manifest.json")
    training = sum(json.loads(manifest.read_text())["candidate"]["seconds"].values())
    print(f"\nfrom push to comment: {whole:.0f} s, of which the training: {training:.0f} s")


def took(what: dict[str, Any]) -> int:
    """Seconds, as the forge counts them."""
    return round(moment(what["completed_at"]) - moment(what["started_at"]))


def moment(text: str) -> float:
    """Seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main()
