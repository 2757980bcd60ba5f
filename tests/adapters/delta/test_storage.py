"""Where files are made before they have a name."""

import os
import stat
import time
from pathlib import Path

import pytest

from mergeline.adapters.delta.storage import ObjectStorage, new_part
from mergeline.errors import TableError


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStorage:
    """An object store whose workshop is below a temp folder of its own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return ObjectStorage(f"file://{tmp_path}/t")


def test_parts_left_by_killed_builds_of_an_object_store_are_swept_too(far: ObjectStorage) -> None:
    far.sweep()
    assert not far.workshop.exists()
    with new_part(far) as new:
        old = far.workshop / "old.part"
        old.write_bytes(b"x")
        os.utime(old, (time.time() - 7200,) * 2)
        far.sweep()
        assert new.exists()
        assert not old.exists()
    assert stat.S_IMODE(far.workshop.stat().st_mode) == 0o700


def test_a_workshop_that_others_may_write_to_is_closed_to_them(far: ObjectStorage) -> None:
    far.workshop.mkdir()
    far.workshop.chmod(0o777)
    with new_part(far):
        assert stat.S_IMODE(far.workshop.stat().st_mode) == 0o700


@pytest.mark.parametrize("made", ["link", "file", "folder"])
def test_a_workshop_that_somebody_else_made_is_refused(
    far: ObjectStorage, tmp_path: Path, made: str
) -> None:
    old = tmp_path / "mine" / "old.part"
    old.parent.mkdir()
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 7200,) * 2)
    if made == "link":
        far.workshop.symlink_to(old.parent)
    elif made == "file":
        far.workshop.touch()
    elif os.geteuid():
        pytest.skip("only root can give a folder away")
    else:
        far.workshop.mkdir()
        os.chown(far.workshop, 12345, 12345)
    with pytest.raises(TableError, match="not a folder of yours"), new_part(far):
        pass
    assert old.exists()
