"""Objects of an S3 store by plain GETs, for a third of the processor time that s3fs takes.

botocore says where the bucket is and signs; urllib3 asks. Redirects, throttling, proxies and whatever else is not a
whole answer are left to s3fs and botocore, which know them all: see docs/adr/0013.
"""

import logging
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

log = logging.getLogger(__name__)

_SAFE = "/-_.~"  # in a key; S3 signs all else as it is quoted
_PLACE = "x"  # a key to ask an address for
_WORTH_ANOTHER_TRY = 500  # and above: it says nothing of how we ask
_NO_SUCH_KEY = b"<Code>NoSuchKey</Code>"

Body = tuple[bytes, str]  # an object's bytes, and their ETag


@dataclass(frozen=True)
class Access:
    """What leads to an S3 store; what is None, botocore finds by itself."""

    endpoint: str | None
    region: str
    key: str | None
    secret: str | None = field(repr=False)
    token: str | None = field(repr=False)
    attempts: str | None  # botocore's, of a request
    connections: int
    connect_seconds: float
    read_seconds: float  # without a byte


class PlainReader:
    """Reads the objects of one bucket; any number of threads may at once."""

    def __init__(self, bucket: str, access: Access) -> None:
        import urllib3
        from botocore.httpsession import get_cert_path

        self.usable = False  # not through proxies, nor without a key, nor once the store answered in another way
        self._region = access.region
        session, self._address = _address(bucket, access)
        self._credentials = session.get_credentials() if self._address else None
        if self._credentials is None:
            return
        authorities = session.get_config_variable("ca_bundle") or get_cert_path(True)
        self._pool = urllib3.connection_from_url(
            self._address,
            maxsize=access.connections,
            block=True,  # more threads than that wait for their turn
            timeout=urllib3.Timeout(access.connect_seconds, access.read_seconds),
            **({"ca_certs": authorities} if self._address.startswith("https:") else {}),
        )
        self.usable = True

    def get(self, key: str) -> Body | None:
        """An object as the store sent it, whole; None: it did not come in this way.

        Raises:
            FileNotFoundError: the store says that there is no such object.
        """
        from botocore.exceptions import BotoCoreError
        from urllib3.exceptions import HTTPError

        url = self._address + quote(key, _SAFE)
        try:
            answer = self._pool.urlopen(
                "GET", urlsplit(url).path, headers=self._sign(url), retries=False, redirect=False, decode_content=False
            )
        except (BotoCoreError, HTTPError) as error:
            log.info("%s was not read plainly: %s", key, error)
            return None
        if answer.status == 200:
            return answer.data, answer.headers.get("ETag", "").strip('"')
        if answer.status == 404 and _NO_SUCH_KEY in answer.data:
            raise FileNotFoundError(f"{url} is not there")
        if answer.status < _WORTH_ANOTHER_TRY:
            log.info("%s answers %d to plain requests: from now on s3fs reads", self._address, answer.status)
            self.usable = False
        return None

    def _sign(self, url: str) -> dict[str, str]:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        assert self._credentials is not None
        request = AWSRequest("GET", url)
        S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self._region).add_auth(request)
        return dict(request.headers.items())


@lru_cache(maxsize=8)
def plain_reader(_process: int, bucket: str, access: Access) -> PlainReader:
    """One a process, bucket and access: connections stay open, and do not survive a fork."""
    return PlainReader(bucket, access)


def _address(bucket: str, access: Access) -> tuple[Any, str]:
    """botocore's session, and where it says that the bucket's keys begin; "" where it cannot, or through a proxy."""
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError
    from botocore.utils import get_environ_proxies

    session = botocore.session.get_session()
    if access.key and access.secret:
        session.set_credentials(access.key, access.secret, access.token)
    # By path, as every store takes it. With "auto", AWS's address would name no region.
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    try:
        client = session.create_client("s3", access.region, endpoint_url=access.endpoint, config=config)
        url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": _PLACE}).partition("?")[0]
    except BotoCoreError as error:
        log.info("bucket %s is read by s3fs alone: %s", bucket, error)
        return session, ""
    return session, "" if get_environ_proxies(url) else url.removesuffix(_PLACE)
