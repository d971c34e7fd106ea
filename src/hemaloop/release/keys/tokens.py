"""Keys in a PKCS#11 token (a YubiKey's PIV slot, SoftHSM): ECDSA on P-256 or P-384, through securesystemslib.

A key's place is a URI as securesystemslib has it: `hsm:2?label=TOKEN`, 2 the key's id. PYKCS11LIB names the token's
library. securesystemslib signs with nothing through ssh-agent, so neither do we.
"""

import getpass
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import HSMSigner, Key, Signature

from hemaloop.errors import ConfigError
from hemaloop.release.keys.signers import PASSPHRASE, read_passphrase

SCHEME = "hsm:"


class TokenSigner:
    """securesystemslib's signer of a token's key; what goes wrong with the token is told as a ConfigError."""

    def __init__(self, signer: HSMSigner, uri: str) -> None:
        self._signer, self._uri = signer, uri

    @property
    def public_key(self) -> Key:
        return self._signer.public_key

    def sign(self, payload: bytes) -> Signature:
        with _told(self._uri):
            return self._signer.sign(payload)


def open_token(uri: str) -> TokenSigner:
    """The signer of a token's key.

    Raises:
        ConfigError: no such token or key, no library for it, or its PIN is wrong or missing.
    """
    number, _, query = uri.removeprefix(SCHEME).partition("?")
    label = query.removeprefix("label=") or None
    if not uri.startswith(SCHEME) or (number and not number.isdecimal()) or (query and not query.startswith("label=")):
        raise ConfigError(f"key {uri}: wanted hsm:NUMBER?label=TOKEN, as hsm:2?label=alice")
    with _told(uri):
        _, public = HSMSigner.import_(int(number) if number else None, label, _pin)
    return TokenSigner(HSMSigner.from_priv_key_uri(uri, public, _pin), uri)


@contextmanager
def _told(uri: str) -> Iterator[None]:
    try:
        failure: type[Exception] = importlib.import_module("pkcs11.exceptions").PKCS11Error
    except ImportError as error:
        raise ConfigError(f"key {uri}: this needs python-pkcs11: pip install 'securesystemslib[PKCS11]'") from error
    try:
        yield
    except (failure, ValueError, UnsupportedLibraryError) as error:
        raise ConfigError(
            f"key {uri}: {str(error) or type(error).__name__}: see PYKCS11LIB and {PASSPHRASE}"
        ) from error


def _pin(_: str) -> str:
    """HEMALOOP_KEY_PASSPHRASE, or what a person at the terminal types."""
    passphrase = read_passphrase()
    if passphrase is not None:
        return passphrase.decode()
    if not sys.stdin.isatty():
        raise ConfigError(f"the token wants its PIN: set {PASSPHRASE}")
    return getpass.getpass("PIN of the token: ")
