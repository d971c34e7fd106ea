"""An approver's key in a PKCS#11 token: SoftHSM's, where it and python-pkcs11 are installed."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from release_site import Site, bundle, now

from hemaloop.errors import ConfigError, UntrustedError
from hemaloop.release.approvals.approval import approve
from hemaloop.release.auditing import verify_log
from hemaloop.release.keys.people import take_token
from hemaloop.release.keys.rotation import Gathering
from hemaloop.release.keys.tokens import open_token
from hemaloop.release.publish import publish

LIBRARY = Path(os.environ.get("PYKCS11LIB", "/usr/lib/softhsm/libsofthsm2.so"))
PIN, URI = "1234", "hsm:2?label=anna"

needs_token = pytest.mark.skipif(
    not (LIBRARY.exists() and shutil.which("softhsm2-util") and importlib.util.find_spec("pkcs11")),
    reason="SoftHSM or python-pkcs11 is not installed",
)


@pytest.fixture(scope="module")
def token_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token of anna's, with a P-256 key in it that cannot leave it; SoftHSM reads its settings once a process."""
    tmp_path = tmp_path_factory.mktemp("softhsm")
    with pytest.MonkeyPatch.context() as patch:
        _make_token(tmp_path, patch)
    return tmp_path


@pytest.fixture
def token(token_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", str(token_folder / "softhsm2.conf"))
    monkeypatch.setenv("PYKCS11LIB", str(LIBRARY))
    monkeypatch.setenv("HEMALOOP_KEY_PASSPHRASE", PIN)


def _make_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    line = f"softhsm2-util --module {LIBRARY} --init-token --free --label anna --pin {PIN} --so-pin 5678"
    subprocess.run(line.split(), check=True, capture_output=True)
    pkcs11 = importlib.import_module("pkcs11")
    ec = importlib.import_module("pkcs11.util.ec")
    with pkcs11.lib(str(LIBRARY)).get_token(token_label="anna").open(rw=True, user_pin=PIN) as session:
        curve = session.create_domain_parameters(
            pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: ec.encode_named_curve_parameters("secp256r1")}, local=True
        )
        curve.generate_keypair(id=b"\x02", store=True, label="anna")


@needs_token
@pytest.mark.usefixtures("token")
def test_an_approver_signs_with_their_token_and_devices_take_it(folder_site: Site) -> None:
    site = folder_site
    with pytest.raises(UntrustedError, match=r"hsm:2\?label=anna does not count"):
        approve(site.bucket, 1, bundle(1), URI, "anna", "better", now())
    keys = [*site.root_keys("bob", "chloe"), site.approver("bob"), site.approver("chloe")]
    take_token(Gathering(site.bucket, keys, site.online, now()), "anna", open_token(URI).public_key)

    assert approve(site.bucket, 1, bundle(1), URI, "anna", "better", now()).people == ("anna",)
    with pytest.raises(UntrustedError, match="does not count"):  # the file that the token replaced
        site.approve(1, ["anna"])
    site.approve(1, ["bob"])
    publish(site.bucket, site.online, "stable", now())

    assert site.device().model(1) == bundle(1)
    assert verify_log(site.bucket).faults == ()


@needs_token
@pytest.mark.usefixtures("token")
def test_a_wrong_pin_or_no_such_token_says_so(folder_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="No PKCS#11 token found for label bob"):
        open_token("hsm:2?label=bob")
    signer = open_token(URI)
    monkeypatch.setenv("HEMALOOP_KEY_PASSPHRASE", "wrong")
    with pytest.raises(ConfigError, match="PinIncorrect"):
        signer.sign(b"x")
    monkeypatch.delenv("HEMALOOP_KEY_PASSPHRASE")
    with pytest.raises(ConfigError, match="the token wants its PIN"):
        signer.sign(b"x")


@pytest.mark.parametrize("uri", ["hsm:two", "hsm:2?slot=1", "ssh:anna"])
def test_a_place_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="wanted hsm:NUMBER"):
        open_token(uri)
