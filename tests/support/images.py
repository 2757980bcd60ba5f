"""Bases of images, made by tools that others wrote, and pushed to a registry on loopback."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(*command: str | Path) -> str:
    """What a program prints."""
    if shutil.which(str(command[0])) is None:
        pytest.fail(f"{command[0]} is not on the PATH: apt-get install {command[0]}")
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done.stdout


def push_base(host: str, root: Path, scratch: Path, *architectures: str) -> str:
    """Push a folder as the base for architectures; its name by digest."""
    entries = []
    for architecture in architectures:
        layout = scratch / f"base-{architecture}"
        image = f"{layout}:base"
        run("umoci", "init", "--layout", layout)
        run("umoci", "new", "--image", image)
        run("umoci", "insert", "--image", image, root, "/")
        run("umoci", "config", "--image", image, "--architecture", architecture,
            "--os", "linux", "--config.env", PATH)  # fmt: skip
        tag = f"docker://{host}/base/python:{architecture}"
        run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{image}", tag)
        raw = run("skopeo", "inspect", "--tls-verify=false", "--raw", tag).encode()
        entries.append((architecture, raw))
    documents = [
        {
            "mediaType": MANIFEST,
            "digest": f"sha256:{hashlib.sha256(raw).hexdigest()}",
            "size": len(raw),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture, raw in entries
    ]
    with httpx.Client(base_url=f"http://{host}/v2/base/python/") as http:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": documents}
        put = http.put("manifests/3.11", content=json.dumps(index), headers={"content-type": INDEX})
        assert put.status_code == 201, put.text
        digest = put.headers["docker-content-digest"]
    return f"{host}/base/python@{digest}"
