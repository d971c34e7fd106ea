"""deploy/'s policies, on a server that enforces them: a device writes as itself alone, and reads releases alone."""

import json
import logging
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from device_bench import build, hold, image, new_pi

from hemaloop.device.agent import Agent
from hemaloop.device.home import utc_now
from hemaloop.device.journal import Journal
from hemaloop.device.transport import open_transport
from hemaloop.device.updates.slots import Slots
from hemaloop.embedded import environment, free_port
from hemaloop.errors import ConfigError
from hemaloop.protocol.keys import parse_upload_key
from hemaloop.storage import Bucket

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[2] / "deploy"
BUCKET = "microscopes"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
Key = dict[str, str]


@dataclass(frozen=True)
class Store:
    endpoint: str
    administrator: Key

    def enforce(self, on: bool) -> None:
        """From now on every request is judged by the policies of whose key signed it."""
        self.command("reset-auth", b"0" if on else b"inf")

    def command(self, name: str, data: bytes = b"") -> None:
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{self.endpoint}/moto-api/{name}", data, headers, method="POST")
        urllib.request.urlopen(request).close()

    def user(self, name: str, policy: dict[str, Any]) -> Key:
        """A user with this policy alone, and its key in the environment's words."""
        iam = _client("iam", self.endpoint)
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="device", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return _key(self.endpoint, key["AccessKeyId"], key["SecretAccessKey"])


@pytest.fixture
def store() -> Iterator[Store]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{port}"
    try:
        with environment(_key(endpoint, "a", "b")):
            found = Store(endpoint, {})
            found.command("reset")  # what servers of this process knew before
            _client("s3", endpoint).create_bucket(Bucket=BUCKET)
            yield Store(endpoint, found.user("administrator", EVERYTHING))
            found.enforce(on=False)
    finally:
        server.stop()


def _key(endpoint: str, key: str, secret: str) -> Key:
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}


def _client(service: str, endpoint: str) -> Any:
    import botocore.session

    return botocore.session.get_session().create_client(service, "us-east-1", endpoint_url=endpoint)


def policy_of(device: str, store: str = "aws") -> dict[str, Any]:
    """moto knows no policy variables: what the store would fill in, the test does."""
    text = (DEPLOY / store / "device-policy.json").read_text()
    found: dict[str, Any] = json.loads(text.replace("BUCKET", BUCKET).replace("${aws:username}", device))
    return found


def contents(store: Store) -> dict[str, bytes]:
    with environment(store.administrator):
        bucket = Bucket(f"s3://{BUCKET}")
        return {each.key: bucket.read(each.key) for each in bucket.list("")}


def test_minio_is_given_what_was_tested_as_awss_policy() -> None:
    assert policy_of("pi-1", "minio") == policy_of("pi-1", "aws")


def test_a_device_does_all_its_work_with_its_own_key_and_nothing_as_another(store: Store, tmp_path: Path) -> None:
    cloud = hold(Bucket(f"s3://{BUCKET}"), tmp_path / "keys")
    cloud.release(build(1))
    (tmp_path / "camera").mkdir()
    (tmp_path / "camera" / "a.png").write_bytes(image("monocyte"))
    home = new_pi(cloud, tmp_path / "pi-1", camera=tmp_path / "camera")
    own = store.user("pi-1", policy_of("pi-1"))
    other = store.user("pi-2", policy_of("pi-2"))
    store.enforce(on=True)

    with environment(own), Journal(home.journal) as journal:
        settings = home.read_settings()
        done = Agent(home, settings, journal, open_transport(settings.bucket), utc_now, threading.Event()).round()
    assert (done.uploaded, done.classified, done.reported, done.problems) == (1, 1, 1, ())
    assert Slots(home.slots).model().version == 1

    before = contents(store)
    upload = next(key for key in before if parse_upload_key(key))
    with environment(other):
        transport = open_transport(f"s3://{BUCKET}")
        for key in (upload, "uploads/pi-1/x.jpg", "uploads/pi-11", "reports/pi-1/x.json", "x", "uploads/x.jpg",
                    "releases/metadata/timestamp.json", "releases/targets/models/2.zip", "dvc/x"):  # fmt: skip
            with pytest.raises(ConfigError, match="refuses our key"):
                transport.put(key, b"forged")
        for key in (upload, "uploads/pi-2/x.jpg", next(key for key in before if key.startswith("reports/pi-1/"))):
            with pytest.raises(ConfigError, match="refuses our key"):
                list(transport.read(key, 0, 10))
        assert list(transport.read("releases/metadata/timestamp.json", 0, 1)) == [b"{"]
        transport.put("reports/pi-2/x.json", b"own")
        s3 = _client("s3", store.endpoint)
        for refused in (
            lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="uploads/"),
            lambda: s3.delete_object(Bucket=BUCKET, Key=upload),
            lambda: s3.copy_object(Bucket=BUCKET, Key="uploads/pi-1/copy.jpg", CopySource=f"{BUCKET}/{upload}"),
        ):
            with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
                refused()
    assert contents(store) == before | {"reports/pi-2/x.json": b"own"}


def test_a_store_that_says_nothing_of_what_is_not_there_still_lets_a_device_update(
    store: Store, tmp_path: Path
) -> None:
    """AWS refuses to read what is not there where the key may not list: so it does when asked for the next root."""
    cloud = hold(Bucket(f"s3://{BUCKET}"), tmp_path / "keys")
    cloud.release(build(1))
    home = new_pi(cloud, tmp_path / "pi-1")
    policy = policy_of("pi-1")
    hidden = f"arn:aws:s3:::{BUCKET}/releases/metadata/2.root.json"
    policy["Statement"].append({"Effect": "Deny", "Action": "s3:GetObject", "Resource": hidden})
    own = store.user("pi-1", policy)
    store.enforce(on=True)
    with environment(own), Journal(home.journal) as journal:
        settings = home.read_settings()
        done = Agent(home, settings, journal, open_transport(settings.bucket), utc_now, threading.Event()).round()
    assert (done.problems, Slots(home.slots).model().version) == ((), 1)
