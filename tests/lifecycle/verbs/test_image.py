"""Images: the same bytes for the same parts, whole or not found, and as other tools read them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mergeline.adapters.models.folder import model_digest
from mergeline.adapters.store.artifact import Place
from mergeline.errors import DeclarationError, ExternalError, StoreError
from mergeline.lifecycle.steps.project import Project
from mergeline.lifecycle.verbs.image import Built, build, inspect, verify
from tests.support.images import push_base, run
from tests.support.line import Line
from tests.support.parcels import MODEL
from tests.support.registries import registry

pytestmark = pytest.mark.slow
DECLARATION = f"models/{MODEL}.yaml"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layers of packages, which all tests of this file share."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with registry(tmp_path / "registry") as host:
        yield host


@pytest.fixture
def base(host: str, tmp_path: Path) -> str:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/base").write_text("what any base has")
    return push_base(host, root, tmp_path, "amd64")


def declare(line: Line, base: str) -> None:
    text = (line.root / "runner" / DECLARATION).read_text()
    line.write(DECLARATION, f"{text}serving: {{base: '{base}'}}\n", at="runner")


@pytest.fixture
def project(line: Line, host: str, base: str, packages: Path) -> Project:
    """The line's runner on main, whose declaration names a base; its store is a registry."""
    declare(line, base)
    return at(line, host, packages)


def at(line: Line, host: str, packages: Path) -> Project:
    """A fresh process's view of the runner, whose candidate is stored in the registry."""
    project = line.project(MERGELINE_STORE=f"oci://{host}/acme/parcels")
    before = line.project()
    tree, _ = project.target_tree()
    fingerprint = tree.ingredients(tree.models[MODEL]).fingerprint
    if project.store.find(MODEL, fingerprint) is None:
        stored = before.store.find(MODEL, fingerprint)
        assert stored is not None
        folder = line.root / "moved" / fingerprint
        before.store.fetch(stored, folder)
        project.store.put_candidate(before.store.read_candidate(stored), folder)
    (line.state / "images").mkdir(exist_ok=True)
    for file in packages.iterdir():
        shutil.copy(file, line.state / "images")
    return project


def built(project: Project, packages: Path, name: str = MODEL) -> Built:
    image = build(project, name, say=print)
    for file in (project.state / "images").glob("packages-*"):
        shutil.copy(file, packages)
    return image


def test_an_image_is_built_read_by_others_and_verified(
    line: Line, packages: Path, tmp_path: Path, host: str
) -> None:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/base").write_text("what any base has")
    declare(line, push_base(host, tmp_path / "root", tmp_path, "amd64", "arm64"))
    project = at(line, host, packages)
    planned = build(project, MODEL, plan_only=True, say=print)
    assert project.images.find(MODEL, planned.fingerprint) is None
    image = built(project, packages)
    assert replace(image, sent=None) == planned
    assert set(image.platforms) == {"linux/amd64", "linux/arm64"}
    assert build(project, MODEL, say=print).sent == sum(
        len(project.images._place.manifest(digest) or b"")
        for digest in [
            image.image.partition("@")[2],
            *project.images.read(image.image.partition("@")[2]).manifests.values(),
        ]
    ), "what is there is not sent again"

    # skopeo reads it and umoci unpacks it.
    source = f"docker://{image.image}"
    said = json.loads(run("skopeo", "inspect", "--tls-verify=false", source))
    assert said["Labels"]["dev.mergeline.model-digest"] == image.model_digest
    assert said["Labels"]["dev.mergeline.fingerprint"] == image.fingerprint
    run("skopeo", "copy", "--all", "--src-tls-verify=false", source, f"oci:{tmp_path}/all:image")
    copied = json.loads((tmp_path / "all/index.json").read_text())["manifests"]
    assert [entry["digest"] for entry in copied] == [image.image.partition("@")[2]]
    run("skopeo", "copy", "--src-tls-verify=false", source, f"oci:{tmp_path}/one:image")
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/one:image", tmp_path / "unpacked")
    rootfs = tmp_path / "unpacked/rootfs"
    assert (rootfs / "etc/base").read_text() == "what any base has"
    assert model_digest(rootfs / "opt/mergeline/model") == image.model_digest
    installed = {path.name for path in (rootfs / "opt/mergeline/packages").iterdir()}
    assert {"numpy", "sklearn", "uvicorn"} <= installed
    assert not installed & {"mlflow", "dvc", "pyarrow", "deltalake", "polars", "bin", "pip"}
    config = json.loads((tmp_path / "unpacked/config.json").read_text())["process"]
    assert config["user"]["uid"] == config["user"]["gid"] == 65532
    assert not [path for path in rootfs.rglob("*") if path.name.endswith(".pyc")]

    shown = inspect(project, MODEL)
    assert shown.image == image.image
    assert any(package.startswith("numpy ") for package in shown.packages)
    assert shown.has_provenance
    assert verify(project, image.image, say=print).problems == ()


def test_it_is_the_same_image_in_another_folder(
    project: Project, line: Line, host: str, packages: Path, tmp_path: Path
) -> None:
    first = built(project, packages)
    elsewhere = line.project(
        MERGELINE_STORE=f"oci://{host}/acme/parcels", MERGELINE_STATE=str(tmp_path / "elsewhere")
    )
    again = build(elsewhere, MODEL, plan_only=True, say=print)
    assert again.image == first.image
    in_a_folder = line.project(MERGELINE_STATE=str(line.state))
    assert (
        build(in_a_folder, MODEL, say=print).image.partition("@")[2]
        == (first.image.partition("@")[2])
    )
    assert verify(in_a_folder, MODEL, say=print).problems == ()


def test_another_model_changes_only_its_own_layer(
    project: Project, line: Line, host: str, base: str, packages: Path
) -> None:
    first = built(project, packages)
    line.git("checkout", "--quiet", "--force", "origin/better", at="runner")
    declare(line, base)
    second = built(at(line, host, packages), packages)
    assert second.model_digest != first.model_digest

    def layers(image: Built) -> list[list[str]]:
        images = project.images
        return [
            [
                layer["digest"]
                for layer in json.loads(images._place.manifest(digest) or b"")["layers"]
            ]
            for digest in images.read(image.image.partition("@")[2]).manifests.values()
        ]

    for before, after in zip(layers(first), layers(second), strict=True):
        assert before[:-1] == after[:-1]
        assert before[-1] != after[-1]
    size = len((line.root / "moved").rglob("model.pkl").__next__().read_bytes())
    assert second.sent is not None
    assert second.sent <= size + 200_000


def test_what_was_cut_off_is_not_found_and_done_by_the_next_run(
    project: Project, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(project, packages)
    found = project.images.find(MODEL, inspect(project, MODEL).fingerprint)
    assert found is not None
    project.images._place.remove([f"_image.{found.partition(':')[2]}"])
    real = type(project.images._place).put_manifest
    calls: list[str] = []

    def cut_off(
        place: Place, content: bytes, media_type: str, tag: str, *, instead_of: str | None
    ) -> bool:
        if tag.startswith("_image."):
            raise KeyboardInterrupt
        calls.append(tag)
        return real(place, content, media_type, tag, instead_of=instead_of)

    with monkeypatch.context() as patch:
        patch.setattr(type(project.images._place), "put_manifest", cut_off)
        with pytest.raises(KeyboardInterrupt):
            build(project, MODEL, say=print)
    assert calls
    fingerprint = build(project, MODEL, plan_only=True, say=print).fingerprint
    assert project.images.find(MODEL, fingerprint) is None
    build(project, MODEL, say=print)
    assert project.images.find(MODEL, fingerprint) == found


def test_a_damaged_layer_is_found(project: Project, packages: Path, tmp_path: Path) -> None:
    image = built(project, packages)
    manifest = next(iter(project.images.read(image.image.partition("@")[2]).manifests.values()))
    layer = json.loads(project.images._place.manifest(manifest) or b"")["layers"][-1]["digest"]
    [file] = (tmp_path / "registry/content").rglob(f"{layer.partition(':')[2]}/data")
    file.write_bytes(file.read_bytes()[:-8] + b"01234567")
    with pytest.raises(StoreError, match="is not what it was"):
        verify(project, MODEL, say=print)


def test_a_registry_that_is_away_is_an_outside_failure(line: Line, packages: Path) -> None:
    with pytest.raises(DeclarationError, match="no image of the model is declared"):
        build(line.project(), MODEL, say=print)
    declare(line, f"127.0.0.1:9/base/python@sha256:{'0' * 64}")
    with pytest.raises(ExternalError, match="does not answer"):
        build(line.project(), MODEL, say=print)
