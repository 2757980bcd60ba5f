import hashlib
import json
import logging
import shutil
import warnings
from pathlib import Path

import pytest
from dvc.repo import Repo

from mergeline.adapters.dvc.drops import DropStore
from mergeline.core.declare.pointer import Pointer
from mergeline.errors import DropError, RemoteError, RepositoryError

MONTH = b"id\n1\n"


class Copy:
    """A DVC repository with a remote, and what was pushed from it."""

    def __init__(self, root: Path, remote: Path, drop: str, folder: str) -> None:
        self.root, self.remote, self.drop, self.folder = root, remote, drop, folder

    def object(self, md5: str) -> Path:
        return self.remote / "files" / "md5" / md5[:2] / md5[2:]

    def cached(self, md5: str) -> Path:
        return self.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]

    def forget(self) -> None:
        shutil.rmtree(self.root / ".dvc" / "cache")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A folder with a repository and its remote, and the md5s of a drop and a folder."""
    top = tmp_path_factory.mktemp("dvc")
    root = top / "repo"
    (root / "raw" / "sub").mkdir(parents=True)
    (root / "month.csv").write_bytes(MONTH)
    (root / "raw" / "b.csv").write_bytes(b"b")
    (root / "raw" / "sub" / "a.csv").write_bytes(b"a")
    Repo.init(str(root), no_scm=True).close()
    with Repo(str(root)) as repo, repo.config.edit() as settings:
        settings["remote"]["there"] = {"url": str(top / "remote")}
        settings["core"]["remote"] = "there"
    with Repo(str(root)) as repo, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pygtrie's, about what DVC does
        [month] = repo.add(str(root / "month.csv"))
        [raw] = repo.add(str(root / "raw"))
        repo.push()
        return top, month.outs[0].hash_info.value, raw.outs[0].hash_info.value


@pytest.fixture
def copy(original: tuple[Path, str, str], tmp_path: Path) -> Copy:
    top, drop, folder = original
    shutil.copytree(top, tmp_path / "copy")
    config = tmp_path / "copy" / "repo" / ".dvc" / "config"
    config.write_text(config.read_text().replace(str(top), str(tmp_path / "copy")))
    return Copy(tmp_path / "copy" / "repo", tmp_path / "copy" / "remote", drop, folder)


@pytest.mark.slow
def test_only_the_missing_drop_is_fetched(copy: Copy) -> None:
    copy.forget()
    path = DropStore(copy.root).fetch(copy.drop)
    assert path == copy.cached(copy.drop)
    assert path.read_bytes() == MONTH
    assert [p for p in (copy.root / ".dvc" / "cache").rglob("*") if p.is_file()] == [path]


def test_a_drop_in_the_cache_needs_no_remote(copy: Copy) -> None:
    shutil.rmtree(copy.remote)
    assert DropStore(copy.root).fetch(copy.drop).read_bytes() == MONTH


def test_the_cache_folder_of_the_configuration_is_used(copy: Copy, tmp_path: Path) -> None:
    with Repo(str(copy.root)) as repo, repo.config.edit("local") as settings:
        settings["cache"] = {"dir": str(tmp_path / "shared")}
    path = DropStore(copy.root).fetch(copy.drop)
    assert path.is_relative_to(tmp_path / "shared")


def test_the_drops_of_a_folder_pointer_are_listed_without_fetching_them(copy: Copy) -> None:
    copy.forget()
    store = DropStore(copy.root)
    listed = store.listing(copy.folder, pointer="raw.dvc")
    assert [path for path, _ in listed] == ["b.csv", "sub/a.csv"]
    assert not any(copy.cached(md5).exists() for _, md5 in listed)


def test_a_drop_that_nobody_pushed_is_said(copy: Copy) -> None:
    with pytest.raises(DropError, match=r"raw/x\.csv\.dvc: .* not in the DVC remote.*dvc push"):
        DropStore(copy.root).fetch("ab" * 16, pointer="raw/x.csv.dvc")


def test_a_drop_missing_without_any_remote_is_said(copy: Copy) -> None:
    config = copy.root / ".dvc" / "config"
    config.write_text("[core]\n    no_scm = True\n")
    with pytest.raises(DropError, match=r"no DVC remote is configured.*add -d NAME URL"):
        DropStore(copy.root).fetch("ab" * 16)
    config.write_text("[core]\n    no_scm = True\n['remote \"there\"']\n    url = /there\n")
    with pytest.raises(DropError, match=r"no DVC remote is configured.*dvc remote default there"):
        DropStore(copy.root).fetch("ab" * 16)


def test_a_remote_that_is_not_there_is_another_thing_than_a_missing_drop(copy: Copy) -> None:
    copy.forget()
    shutil.rmtree(copy.remote)
    with pytest.raises(RemoteError, match=r"does not exist.*dvc remote modify there url URL"):
        DropStore(copy.root).fetch(copy.drop)


def test_a_remote_that_refuses_is_said(copy: Copy) -> None:
    copy.forget()
    # A folder where the object should be: reading it fails in another way than not finding it.
    shutil.rmtree(copy.remote / "files")
    copy.object(copy.drop).mkdir(parents=True)
    with pytest.raises(RemoteError, match="cannot be read"):
        DropStore(copy.root).fetch(copy.drop)


def test_a_changed_object_of_the_remote_is_refused_and_leaves_nothing(copy: Copy) -> None:
    copy.forget()
    copy.object(copy.drop).chmod(0o644)
    copy.object(copy.drop).write_bytes(MONTH[:-1])
    with pytest.raises(DropError, match=r"month\.csv\.dvc: .*not what the pointer says"):
        DropStore(copy.root).fetch(copy.drop, pointer="month.csv.dvc")
    assert not list(copy.cached(copy.drop).parent.iterdir())


def test_a_damaged_cache_file_is_found_said_and_fetched_again(
    copy: Copy, caplog: pytest.LogCaptureFixture
) -> None:
    copy.cached(copy.drop).chmod(0o644)
    copy.cached(copy.drop).write_bytes(b"edited")
    with caplog.at_level(logging.WARNING):
        assert DropStore(copy.root).fetch(copy.drop).read_bytes() == MONTH
    assert "damaged" in caplog.text


def test_a_damaged_cache_file_without_another_copy_is_refused(copy: Copy) -> None:
    copy.cached(copy.drop).chmod(0o644)
    copy.cached(copy.drop).write_bytes(b"edited")
    copy.object(copy.drop).unlink()
    with pytest.raises(DropError, match="damaged in the DVC cache"):
        DropStore(copy.root).fetch(copy.drop)


def test_a_folder_without_dvc_is_said(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="dvc init"):
        DropStore(tmp_path).fetch("ab" * 16)


def test_the_list_of_a_folder_is_checked_too(copy: Copy) -> None:
    entries = json.loads(copy.cached(copy.folder).read_bytes())
    copy.cached(copy.folder).chmod(0o644)
    copy.cached(copy.folder).write_text(json.dumps(entries[:1]))
    assert len(DropStore(copy.root).listing(copy.folder)) == 2


def test_a_file_that_differs_from_its_pointer_is_found_also_in_a_folder(copy: Copy) -> None:
    pointers = [
        Pointer("month.csv.dvc", "month.csv", copy.drop, len(MONTH)),
        Pointer("raw.dvc", "raw", copy.folder),
    ]
    store = DropStore(copy.root)
    assert store.differing(pointers) == []
    (copy.root / "month.csv").write_bytes(b"id\n2\n")
    (copy.root / "raw" / "sub" / "a.csv").write_bytes(b"b")
    assert store.differing(pointers) == ["month.csv", "raw/sub/a.csv"]
    (copy.root / "month.csv").unlink()
    copy.forget()
    assert store.differing(pointers) == []  # of the folder nothing is known without its list


# --- drops of DVC 2 -------------------------------------------------------------------------------


def as_dvc_2_had_it(content: bytes) -> str:
    """DVC 2 took the md5 of a text with the line ends of Unix."""
    return hashlib.md5(content.replace(b"\r\n", b"\n")).hexdigest()


@pytest.mark.parametrize("content", [b"old\n1\n", b"old\r\n2\r\n", b"PAR1\0\r\n\xff"])
@pytest.mark.parametrize("place", ["remote", "repo/.dvc/cache"])
def test_a_drop_that_dvc_2_pushed_is_brought_from_its_old_place(
    copy: Copy, content: bytes, place: str
) -> None:
    name = as_dvc_2_had_it(content) if b"\0" not in content else hashlib.md5(content).hexdigest()
    copy.forget()
    old = copy.root.parent / place / name[:2] / name[2:]
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_bytes(content)
    found = DropStore(copy.root).fetch(name)
    assert found.read_bytes() == content
    assert found == copy.root / ".dvc" / "cache" / name[:2] / name[2:]
    assert DropStore(copy.root).fetch(name) == found


def test_a_damaged_drop_of_dvc_2_is_refused(copy: Copy) -> None:
    name = as_dvc_2_had_it(b"old\n1\n")
    copy.forget()
    old = copy.remote / name[:2] / name[2:]
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_bytes(b"id\n2\n")
    with pytest.raises(DropError, match="the remote's content is not what the pointer says"):
        DropStore(copy.root).fetch(name)


def test_a_text_with_the_line_ends_of_windows_does_not_differ_from_its_old_pointer(
    copy: Copy,
) -> None:
    (copy.root / "old.csv").write_bytes(b"id\r\n1\r\n")
    pointer = Pointer("old.csv.dvc", "old.csv", as_dvc_2_had_it(b"id\r\n1\r\n"))
    assert DropStore(copy.root).differing([pointer]) == []
    (copy.root / "old.csv").write_bytes(b"id\r\n2\r\n")
    assert DropStore(copy.root).differing([pointer]) == ["old.csv"]


def test_a_remote_that_keeps_versions_of_a_bucket_ends_in_what_to_do(copy: Copy) -> None:
    with Repo(str(copy.root)) as repo, repo.config.edit() as settings:
        settings["remote"]["there"] = {"url": str(copy.remote), "worktree": True}
    copy.forget()
    with pytest.raises(RemoteError, match="by the versions of a bucket") as caught:
        DropStore(copy.root).fetch(copy.drop)
    assert caught.value.next_step.startswith("Run `dvc pull`")


def test_what_stands_behind_a_pointer_is_put_where_a_stage_reads_it(
    copy: Copy, tmp_path: Path
) -> None:
    copy.forget()
    store, checkout = DropStore(copy.root), tmp_path / "checkout"
    store.put(copy.drop, checkout / "data/month.csv", path="data/month.csv")
    store.put(copy.folder, checkout / "raw", path="raw")
    assert (checkout / "data/month.csv").read_bytes() == MONTH
    assert (checkout / "raw/b.csv").read_bytes() == b"b"
    assert (checkout / "raw/sub/a.csv").read_bytes() == b"a"
