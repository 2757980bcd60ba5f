"""The shipped workflows on a real forge with nothing beside it: releases, and a revert."""

from __future__ import annotations

import pytest

from tests.support.gitea_server import GiteaServer
from tests.support.hosted import Hosted, add_parcels

pytestmark = [pytest.mark.forge, pytest.mark.timeout(3600)]


def test_the_line_from_a_first_release_to_a_revert(
    server: GiteaServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No MLflow server, no scoring server: the forge's own registry is the store."""
    hosted = Hosted(server, "acme/line", tmp_path_factory.mktemp("line"))
    hosted.git("tag", "release/late/0099")
    hosted.git("push", "-q", server.clone_url(hosted.name, "ana"), "release/late/0099")
    release_the_first(hosted)
    racing = release_two_that_race(hosted)
    revert(hosted, racing)


def release_the_first(hosted: Hosted) -> None:
    """What was reviewed is released by its squash, whatever junk lies among the tags."""
    hosted.branch("first")
    hosted.edit("params.yaml", "C: 1.0", "C: 0.5")
    head = hosted.commit("Half the weight")
    first = hosted.propose("Half the weight")
    assert hosted.judged(head) == ("success", "late: pass"), hosted.tell()
    jobs = hosted.released(hosted.merge(first, "squash"))
    assert jobs["release"] == "success", hosted.tell()
    assert jobs["build"] == "skipped", "what was reviewed is what is released"
    assert hosted.ledger() == ["release/late/0001", "release/late/0099"]
    [_, told] = hosted.comments(first)
    assert "late v1 is in production." in told["body"]


def release_two_that_race(hosted: Hosted) -> int:
    """Each is judged against v1, and one lands first; the number of the other."""
    hosted.branch("racing")
    add_parcels(hosted.clone, 4)
    racing_head = hosted.commit("April")
    racing = hosted.propose("April")
    hosted.branch("second")
    hosted.edit("params.yaml", "C: 0.5", "C: 0.6")
    hosted.commit("More weight")
    hosted.edit("params.yaml", "C: 0.6", "C: 0.8")
    head = hosted.commit("Still more weight")
    second = hosted.propose("More weight")
    assert hosted.judged(racing_head) == ("success", "late: pass"), hosted.tell()
    assert hosted.judged(head) == ("success", "late: pass"), hosted.tell()
    jobs = hosted.released(hosted.merge(second, "rebase"))
    assert (jobs["build"], jobs["release"]) == ("skipped", "success"), hosted.tell()
    [_, told] = hosted.comments(second)
    assert "late v2 is in production." in told["body"]
    jobs = hosted.released(hosted.merge(racing, "merge"))
    assert (jobs["build"], jobs["judge"], jobs["release"]) == ("success",) * 3, hosted.tell()
    [_, told] = hosted.comments(racing)
    assert "late v3 is in production." in told["body"]
    assert "Another change landed first" in told["body"]
    return racing


def revert(hosted: Hosted, racing: int) -> None:
    """A revert brings the release before back, and all are told."""
    hosted.branch("back")
    person = ("-c", "user.name=ben", "-c", "user.email=ben@example.org")
    hosted.git(*person, "revert", "--no-edit", "-m", "1", "HEAD")
    head = hosted.git("rev-parse", "HEAD")
    back = hosted.propose("Back", author="ben")
    assert hosted.judged(head) == ("success", "late: pass"), hosted.tell()
    jobs = hosted.released(hosted.merge(back, "merge"))
    assert (jobs["build"], jobs["release"]) == ("skipped", "success"), hosted.tell()
    [_, told] = hosted.comments(racing)
    assert "late v3 was taken out of production" in told["body"]
    [*_, told] = hosted.comments(back)
    assert "late v2 is back in production." in told["body"]
