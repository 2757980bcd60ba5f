"""The shipped workflows on a real forge with nothing beside it: releases, and a revert."""

from __future__ import annotations

import pytest

from tests.support.gitea_server import GiteaServer
from tests.support.hosted import Hosted

pytestmark = [pytest.mark.forge, pytest.mark.timeout(3600)]


def test_the_line_from_a_first_release_to_a_revert(
    server: GiteaServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No MLflow server, no scoring server: the forge's own registry is the store."""
    hosted = Hosted(server, "acme/line", tmp_path_factory.mktemp("line"))
    hosted.git("tag", "release/delay/0099")
    hosted.git("push", "-q", server.clone_url(hosted.name, "ana"), "release/delay/0099")

    hosted.branch("first")
    hosted.edit("params.yaml", "max_iter: 60", "max_iter: 30")
    head = hosted.commit("Half the trees")
    first = hosted.propose("Half the trees")
    assert hosted.judged(head) == ("success", "delay: pass"), hosted.tell()
    jobs = hosted.released(hosted.merge(first, "squash"))
    assert jobs["release"] == "success", hosted.tell()
    assert jobs["build"] == "skipped", "what was reviewed is what is released"
    assert hosted.ledger() == ["release/delay/0001", "release/delay/0099"]
    [_, told] = hosted.comments(first)
    assert "delay v1 is in production." in told["body"]

    hosted.branch("second")
    hosted.edit("params.yaml", "max_iter: 30", "max_iter: 40")
    hosted.commit("More trees")
    hosted.edit("params.yaml", "max_iter: 40", "max_iter: 50")
    head = hosted.commit("Still more trees")
    second = hosted.propose("More trees")
    assert hosted.judged(head) == ("success", "delay: pass"), hosted.tell()
    merged = hosted.merge(second, "rebase")
    jobs = hosted.released(merged)
    assert (jobs["build"], jobs["release"]) == ("skipped", "success"), hosted.tell()
    [_, told] = hosted.comments(second)
    assert "delay v2 is in production." in told["body"]

    hosted.branch("back")
    person = ("-c", "user.name=ben", "-c", "user.email=ben@example.org")
    hosted.git(*person, "revert", "--no-edit", "HEAD", "HEAD~1")
    head = hosted.git("rev-parse", "HEAD")
    back = hosted.propose("Back", author="ben")
    assert hosted.judged(head) == ("success", "delay: pass"), hosted.tell()
    jobs = hosted.released(hosted.merge(back, "merge"))
    assert (jobs["build"], jobs["release"]) == ("skipped", "success"), hosted.tell()
    [_, told] = hosted.comments(second)
    assert "delay v2 was taken out of production" in told["body"]
    [*_, told] = hosted.comments(back)
    assert "delay v1 is back in production." in told["body"]
