"""Which files that stand for a lock leave versions open."""

from __future__ import annotations

import pytest

from mergeline.core.fingerprint.pins import unpinned

PINNED = "numpy==2.0 ; python_version > '3.10' \\\n    --hash=sha256:aa\n# pandas\n-r base.txt\n\n"


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("requirements.txt", PINNED, None),
        ("requirements.txt", "tool @ git+https://host/tool@v1\n-e .\n", None),
        ("requirements.txt", f"{PINNED}pandas>=2  # ==2\n", "pandas"),
        ("requirements/train.txt", "scikit-learn\n", "scikit-learn"),
        ("services/late/requirements-train.txt", "lightgbm~=4.0\n", "lightgbm"),
        ("environment.yml", "dependencies: [python=3.11, numpy==2.0]", None),
        ("environment.yml", "dependencies: [python=3.11, pip, numpy=2]", "pip"),
        ("environment.yaml", "dependencies: [conda-forge::numpy>=2]", "numpy"),
        ("environment-gpu.yml", "dependencies: [a=1, {pip: [b==1, torch]}]", "torch"),
        ("environment.yml", "dependencies: [", None),
        ("environment.yml", "dependencies: 3", None),
        ("uv.lock", "numpy", None),
    ],
)
def test_a_package_without_a_version_is_found(path: str, text: str, name: str | None) -> None:
    found = unpinned([path], lambda _: text.encode())
    assert found == (None if name is None else (name, path))


def test_a_lock_by_its_kind_says_the_versions() -> None:
    assert unpinned(["requirements.txt", "uv.lock"], lambda _: b"numpy\n") is None
