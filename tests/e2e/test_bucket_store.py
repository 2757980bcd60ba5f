"""The shipped workflows with a bucket as the store: keys that only read, and keys that write."""

from __future__ import annotations

import pytest

from tests.support.gitea_server import GiteaServer
from tests.support.hosted import Hosted
from tests.support.s3_server import add_reader, s3_environment, s3_server

pytestmark = [pytest.mark.forge, pytest.mark.timeout(3600)]
BUCKET = "warehouse"
PLACES = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ALLOW_HTTP")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def test_a_bucket_is_read_with_one_pair_of_keys_and_written_with_another(
    server: GiteaServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("bucket")
    (place / "s3" / BUCKET).mkdir(parents=True)
    (place / "clone").mkdir()
    with s3_server(place / "s3") as address:
        environment, reader = s3_environment(address), add_reader(address, BUCKET)
        hosted = Hosted(server, "acme/bucket", place / "clone")
        hosted.use_bucket(
            f"s3://{BUCKET}/store",
            {name: environment[name] for name in PLACES},
            {name: environment[name] for name in KEYS}
            | {f"READ_{name}": reader[name] for name in KEYS},
        )
        hosted.branch("first")
        hosted.edit("params.yaml", "C: 1.0", "C: 0.5")
        head = hosted.commit("Half the weight")
        number = hosted.propose("Half the weight")
        assert hosted.judged(head) == ("success", "late: pass"), hosted.tell()
        assert hosted.released(hosted.merge(number, "merge"))["release"] == "success", hosted.tell()
        hosted.branch("second")
        hosted.edit("params.yaml", "C: 0.5", "C: 0.6")
        head = hosted.commit("More weight")
        number = hosted.propose("More weight")
        assert hosted.judged(head) == ("success", "late: pass"), hosted.tell()
        [said] = hosted.comments(number)
        assert "v1" in said["body"], "compared with what the bucket has"
    assert list((place / "s3" / BUCKET / "store").rglob("index.json"))
