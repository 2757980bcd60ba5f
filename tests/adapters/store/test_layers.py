"""Layers: the same files are the same bytes, whatever the folder, the time and the owner."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from pathlib import Path

from mergeline.adapters.store.layers import files_below, write_layer

PLACE = "opt/mergeline/model"


def make(folder: Path, *, at: int, names: tuple[str, ...] = ("b", "a/deep/file", "run")) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"what {name} has")
        file.chmod(0o700 if name == "run" else 0o600)
        os.utime(file, (at, at))
    return folder


def test_a_layer_is_the_same_whenever_and_wherever_it_is_written(
    tmp_path: Path,
) -> None:
    first, second = (
        make(tmp_path / "x", at=1),
        make(tmp_path / "y", at=9, names=("run", "a/deep/file", "b")),
    )
    one = write_layer(files_below(first, PLACE), tmp_path / "one")
    two = write_layer(files_below(second, PLACE), tmp_path / "elsewhere")
    assert one == two
    content = (tmp_path / "one").read_bytes()
    assert one.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert one.size == len(content)
    plain = gzip.decompress(content)
    assert one.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"


def test_a_layer_has_folders_before_files_and_nobody_s_name(tmp_path: Path) -> None:
    files = files_below(make(tmp_path / "x", at=5), PLACE)
    write_layer({**files, "opt/mergeline/image.json": b"{}"}, tmp_path / "layer")
    with tarfile.open(tmp_path / "layer") as layer:
        entries = layer.getmembers()
    assert [entry.name for entry in entries] == [
        "opt/mergeline",
        "opt/mergeline/image.json",
        "opt/mergeline/model",
        "opt/mergeline/model/a",
        "opt/mergeline/model/a/deep",
        "opt/mergeline/model/a/deep/file",
        "opt/mergeline/model/b",
        "opt/mergeline/model/run",
    ]
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in entries} == {
        (0, 0, "", 0)
    }
    assert [oct(entry.mode) for entry in entries if entry.isfile()] == ["0o644"] * 3 + ["0o755"]
