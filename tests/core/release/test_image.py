"""The plan of an image: its digest follows from its parts and from nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mergeline.core.release.image import (
    GZIP_TYPE,
    TAR_TYPE,
    Base,
    Content,
    Index,
    Layer,
    Reference,
    parse_reference,
    plan_image,
    plan_index,
    provenance,
    read_labels,
    sbom,
)
from mergeline.errors import DeclarationError

DIGEST = f"sha256:{'a' * 64}"
BASE = Base(
    Reference("ghcr.io/acme/python", DIGEST),
    "linux/amd64",
    (Layer(GZIP_TYPE, f"sha256:{'b' * 64}", 10, f"sha256:{'c' * 64}"),),
    {
        "config": {"Env": ["PATH=/usr/bin", "PYTHONPATH=/elsewhere"], "User": "root"},
        "history": [{"created_by": "the base"}],
    },
)
PACKAGES = Layer(GZIP_TYPE, f"sha256:{'d' * 64}", 20, f"sha256:{'e' * 64}")
MODEL = Layer(TAR_TYPE, f"sha256:{'f' * 64}", 30, f"sha256:{'f' * 64}")
CONTENT = Content("delay", "1" * 64, "2" * 64, "3.11")
LOCK = f"numpy==2.1 \\\n    --hash=sha256:{'9' * 64}\nscipy==1.2\n"


def planned(base: Base = BASE, model: Layer = MODEL, content: Content = CONTENT) -> Index:
    return plan_index([plan_image(base, [PACKAGES, model], content)], content)


def test_the_same_parts_are_the_same_image_and_each_part_counts() -> None:
    other = Reference("ghcr.io/acme/python", f"sha256:{'0' * 64}")
    digests = {
        planned().digest,
        planned().digest,
        planned(base=replace(BASE, reference=other)).digest,
        planned(model=replace(MODEL, digest=DIGEST)).digest,
        planned(content=replace(CONTENT, model_digest="3" * 64)).digest,
        planned(content=replace(CONTENT, fingerprint="3" * 64)).digest,
    }
    assert len(digests) == 5


def test_an_image_keeps_the_path_of_its_base_and_not_its_user() -> None:
    [image] = planned().images
    config = json.loads(image.config)
    assert "PATH=/usr/bin" in config["config"]["Env"]
    assert "PYTHONPATH=/opt/mergeline/server:/opt/mergeline/packages" in config["config"]["Env"]
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Healthcheck"]["Test"][-1] == "health"
    assert len(config["rootfs"]["diff_ids"]) == len(config["history"]) == 3
    assert config["created"] == "1970-01-01T00:00:00Z"


def test_a_base_that_does_not_say_how_it_came_about_makes_no_half_history() -> None:
    [image] = planned(base=replace(BASE, config={})).images
    assert "history" not in json.loads(image.config)


def test_an_image_says_what_it_is() -> None:
    document = json.loads(planned().document)
    assert read_labels(document["annotations"]) == (BASE.reference, CONTENT)
    assert document["manifests"][0]["platform"] == {"os": "linux", "architecture": "amd64"}
    assert read_labels({"org.opencontainers.image.title": "somebody's"}) is None


@pytest.mark.parametrize(
    ("text", "repository"),
    [
        (f"ghcr.io/acme/python@{DIGEST}", "ghcr.io/acme/python"),
        (f"ghcr.io/acme/python:3.11-slim@{DIGEST}", "ghcr.io/acme/python"),
        (f"localhost:5000/python@{DIGEST}", "localhost:5000/python"),
        (f"127.0.0.1:5000/base/python@{DIGEST}", "127.0.0.1:5000/base/python"),
        (f"docker.io/python:3.11@{DIGEST}", "registry-1.docker.io/library/python"),
        (f"docker.io/acme/python@{DIGEST}", "registry-1.docker.io/acme/python"),
    ],
)
def test_a_base_is_named_by_host_and_digest(text: str, repository: str) -> None:
    assert parse_reference(text, where="models/delay.yaml") == Reference(repository, DIGEST)


@pytest.mark.parametrize(
    "text",
    ["", "python:3.11", "ghcr.io/acme/python:3.11", f"python@{DIGEST}", f"a:b@c/d@{DIGEST}"],
)
def test_a_base_without_host_or_digest_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError, match="no image by its digest"):
        parse_reference(text, where="models/delay.yaml")


def test_what_lies_beside_an_image_names_it_by_its_digest() -> None:
    index = planned()
    locks = {"linux/amd64": LOCK, "linux/arm64": LOCK}
    bill = json.loads(sbom(index, locks, "0.1.0"))
    names = [part["name"] for part in bill["components"]]
    assert names == ["ghcr.io/acme/python", "delay", "mergeline", "numpy", "scipy"]
    assert bill["metadata"]["component"]["version"] == index.digest
    statement = json.loads(provenance(index, locks, Reference("ghcr.io/a/b", DIGEST), "0.1.0"))
    [subject] = statement["subject"]
    assert f"sha256:{subject['digest']['sha256']}" == index.digest
    external = statement["predicate"]["buildDefinition"]["externalParameters"]
    assert external["fingerprint"] == CONTENT.fingerprint
