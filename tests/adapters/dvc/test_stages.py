"""Stages run by DVC as it is, in a checkout with small stages."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mergeline.adapters.dvc.drops import DropStore
from mergeline.adapters.dvc.stages import reproduce, share_cache
from mergeline.errors import RepositoryError, StageError
from mergeline.system.git_command import run_git

DVC_YAML = """\
stages:
  first:
    cmd: cp in.txt middle.txt && echo "hello from $WHO"
    deps: [in.txt]
    outs: [middle.txt]
  second:
    cmd: python work.py
    deps: [work.py, middle.txt]
    outs: [out.txt]
"""
WORK = "open('out.txt', 'w').write(open('middle.txt').read() * 2)\n"


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path, list[str], dict[str, float]]:
    """A checkout whose stages ran, the cache that it shared, and what was said."""
    checkout = make(tmp_path_factory.mktemp("stages") / "checkout")
    cache = checkout.parent / "cache"
    share_cache(checkout, cache)
    said: list[str] = []
    ran = reproduce(checkout, "second", environment={"WHO": "Ana"}, say=said.append)
    return checkout, cache, said, ran


def make(checkout: Path, work: str = WORK) -> Path:
    checkout.mkdir(parents=True)
    run_git(["init", "--quiet"], cwd=checkout)
    (checkout / ".dvc").mkdir()
    (checkout / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (checkout / "dvc.yaml").write_text(DVC_YAML)
    (checkout / "in.txt").write_text("x")
    (checkout / "work.py").write_text(work)
    return checkout


Built = tuple[Path, Path, list[str], dict[str, float]]


@pytest.mark.slow
def test_a_stage_and_those_before_it_run_in_order(built: Built) -> None:
    checkout, _, said, ran = built
    assert (checkout / "out.txt").read_text() == "xx"
    assert list(ran) == ["first", "second"]
    assert [text for text in said if text.startswith("stage ")] == ["stage first", "stage second"]


@pytest.mark.slow
def test_another_checkout_with_the_same_cache_takes_the_results(built: Built) -> None:
    _, cache, _, _ = built
    again = make(cache.parent / "again")
    share_cache(again, cache)
    said: list[str] = []
    assert reproduce(again, "second", environment={"WHO": "Ben"}, say=said.append) == {}
    assert (again / "out.txt").read_text() == "xx"
    there = "its result is there already"
    assert said == [f"stage first: {there}", f"stage second: {there}"]


def test_a_lock_that_came_along_decides_nothing(built: Built, tmp_path: Path) -> None:
    checkout, _, _, _ = built
    copy = make(tmp_path / "copy")
    (copy / "dvc.lock").write_text((checkout / "dvc.lock").read_text())
    share_cache(copy, tmp_path / "empty")
    assert not (copy / "dvc.lock").exists()
    local = (copy / ".dvc" / "config.local").read_text()
    assert str(tmp_path / "empty") in local


def test_the_cache_of_a_repository_is_found(tmp_path: Path) -> None:
    checkout = make(tmp_path / "checkout")
    assert DropStore(checkout).cache_folder() == checkout / ".dvc" / "cache"
    share_cache(checkout, tmp_path / "elsewhere")
    assert DropStore(checkout).cache_folder() == tmp_path / "elsewhere"


def test_without_dvc_the_cache_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="DVC is not set up here"):
        DropStore(tmp_path).cache_folder()


@pytest.mark.slow
def test_a_failed_stage_is_said_by_name_with_its_last_words(tmp_path: Path) -> None:
    checkout = make(tmp_path / "checkout", "print('before')\nraise KeyError('wheels')\n")
    with pytest.raises(StageError) as caught:
        reproduce(checkout, "second", environment={"WHO": "Ana"}, say=lambda _: None)
    error = caught.value
    assert error.stage == "second"
    assert str(error) == (
        "dvc.yaml: stage second failed: KeyError: 'wheels'. Run it by hand: dvc repro second."
    )
    assert "before" in error.tail
    assert "Traceback" in error.tail
    assert str(tmp_path) not in error.tail
    assert error.exit_code == 3


@pytest.mark.slow
def test_a_stage_that_does_not_leave_its_output_fails(tmp_path: Path) -> None:
    checkout = make(tmp_path / "checkout", "pass\n")
    with pytest.raises(StageError, match=r"stage second failed: .*out\.txt"):
        reproduce(checkout, "second", environment={"WHO": "Ana"}, say=lambda _: None)


def test_a_missing_dependency_is_said(tmp_path: Path) -> None:
    checkout = make(tmp_path / "checkout")
    (checkout / "in.txt").unlink()
    with pytest.raises(StageError, match=r"stage first failed: .*No such file.*in\.txt"):
        reproduce(checkout, "second", environment={"WHO": "Ana"}, say=lambda _: None)


@pytest.mark.slow
def test_a_dvc_yaml_that_dvc_refuses_is_said_with_the_place(tmp_path: Path) -> None:
    checkout = make(tmp_path / "checkout")
    (checkout / "dvc.yaml").write_text("stages:\n  second:\n    cmd: false\n")
    with pytest.raises(StageError, match=r"DVC refuses: .*dvc\.yaml.* expected str, in .* line 3"):
        reproduce(checkout, "second", environment={}, say=lambda _: None)


STARTER = """
import sys
from pathlib import Path
from mergeline.adapters.dvc.stages import reproduce
reproduce(Path(sys.argv[1]), "second", environment={"WHO": "Ana"}, say=print)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stages_end_with_their_starter_however_it_ends(tmp_path: Path, how: int) -> None:
    work = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(120)\n"
    checkout = make(tmp_path / "checkout", work)
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(checkout)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as starter:  # fmt: skip
        pid = wait_for(lambda: int((checkout / "pid").read_text() or "x"))
        starter.send_signal(how)
        starter.wait(20)
    wait_for(lambda: ended(pid))


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    if state.exists() and ") Z " in state.read_text():
        return True
    raise ValueError(pid)


def wait_for(what: object, seconds: float = 60) -> int:
    until = time.monotonic() + seconds
    while True:
        try:
            return int(what())  # type: ignore[operator]
        except (OSError, ValueError):
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@pytest.mark.slow
def test_a_stage_runs_on_a_file_behind_a_pointer_that_was_put_there(tmp_path: Path) -> None:
    checkout = make(tmp_path / "checkout")
    (checkout / "in.txt").write_text("y")
    md5 = hashlib.md5(b"y", usedforsecurity=False).hexdigest()
    (checkout / "in.txt.dvc").write_text(
        f"outs:\n- md5: {md5}\n  size: 1\n  hash: md5\n  path: in.txt\n"
    )
    share_cache(checkout, tmp_path / "cache")
    reproduce(checkout, "second", environment={}, say=lambda _: None)
    assert (checkout / "out.txt").read_text() == "yy"


@pytest.mark.slow
def test_loops_and_stages_of_other_folders_run_by_their_names(tmp_path: Path) -> None:
    checkout = make(tmp_path / "checkout")
    (checkout / "dvc.yaml").write_text(
        "stages:\n  each:\n    foreach: [a, b]\n"
        "    do: {cmd: 'cp sub/out.txt ${item}.txt', deps: [sub/out.txt], outs: ['${item}.txt']}\n"
    )
    (checkout / "sub").mkdir()
    (checkout / "sub/dvc.yaml").write_text(
        "stages: {make: {cmd: cp ../in.txt out.txt, deps: [../in.txt], outs: [out.txt]}}\n"
    )
    share_cache(checkout, tmp_path / "cache")
    ran = reproduce(checkout, "each@b", environment={}, say=lambda _: None)
    assert (checkout / "b.txt").read_text() == "x"
    assert list(ran) == ["sub/dvc.yaml:make", "each@b"]
