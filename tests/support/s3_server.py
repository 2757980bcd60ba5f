"""A real S3 server over a folder, on loopback, and what its clients have in their environment."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def s3_server(
    folder: Path, *, read_only: bool = False, largest_file: int | None = None
) -> Iterator[str]:
    """Address of a server of which a bucket is a folder in `folder`.

    With `largest_file` no file gets more bytes, as on a disk that is full.
    """
    program = shutil.which("versitygw")
    if program is None:
        pytest.fail(
            "versitygw is not on the PATH: "
            "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    people = folder.with_name(f"{folder.name}-people")
    people.mkdir(exist_ok=True)
    command = [
        program, "--access", "tester", "--secret", "testersecret", "--port", f"127.0.0.1:{port}",
        "--iam-dir", str(people), *(["--readonly"] if read_only else []), "posix", str(folder),
    ]  # fmt: skip
    if largest_file is not None:
        command = ["prlimit", f"--fsize={largest_file}", *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def add_reader(address: str, bucket: str) -> dict[str, str]:
    """The keys of somebody who may list and read a bucket, and nothing else."""
    administrate = ["versitygw", "admin", "--access", "tester", "--secret", "testersecret"]
    reader = ["create-user", "--access", "reader", "--secret", "readersecret", "--role", "user"]
    subprocess.run([*administrate, "--endpoint-url", address, *reader], check=True)
    rule = {
        "Effect": "Allow",
        "Principal": {"AWS": ["reader"]},
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    digest = hashlib.sha256(policy.encode()).hexdigest()
    command = [
        "curl", "--fail", "--silent", "--show-error", "--aws-sigv4", "aws:amz:us-east-1:s3",
        "--user", "tester:testersecret", "--header", f"x-amz-content-sha256: {digest}",
        "--request", "PUT", "--data-binary", policy, f"{address}/{bucket}?policy=",
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "readersecret"}


def s3_environment(address: str) -> dict[str, str]:
    """The usual places of address and credentials."""
    return {
        "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "testersecret", "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
