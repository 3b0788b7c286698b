"""Sign bytes with Ed25519, in the envelope of DSSE, and open such envelopes.

Source: https://github.com/secure-systems-lab/dsse, protocol 1.0.
"""

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import extras, files, schema
from harness.errors import ConfigError, StackMissing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PAYLOAD_TYPE = "application/vnd.device-harness.run+json"
_KEY_BYTES_MAX = 16_384


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One signature of an envelope.

    Attributes:
        keyid: Fingerprint of the public key.
        sig: The signature in base64.
    """

    keyid: str
    sig: str


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A signed payload; its names are those of DSSE.

    Attributes:
        payloadType: What the payload is.
        payload: Its bytes in base64.
        signatures: One.
    """

    payloadType: str  # noqa: N815
    payload: str
    signatures: tuple[Signature, ...]


@contextmanager
def _cryptography() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise StackMissing(
            f"{error.name} is not installed; {extras.install_command('sign')} adds it"
        ) from None


def private_key(path: Path) -> "Ed25519PrivateKey":
    """Return the private key of a PEM file that nobody but its owner can read.

    Raises:
        ConfigError: others can read it, or it holds no Ed25519 key without a password.
        StackMissing: the extra `sign` is not installed.
    """
    with _cryptography():
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    files.check_private(path, error=ConfigError)
    data = files.read(path, at_most_bytes=_KEY_BYTES_MAX, error=ConfigError)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: holds no private key in PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: is no Ed25519 key; `harness keys FILE` makes one")
    return key


def make_pair(private: Path, public: Path) -> str:
    """Write a new pair of keys in PEM, and return the fingerprint of the public one.

    Raises:
        ConfigError: one of the files is there already, or cannot be written.
        StackMissing: the extra `sign` is not installed.
    """
    with _cryptography():
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    for path in (private, public):
        if path.exists() or path.is_symlink():
            raise ConfigError(f"{path}: is there already; a key is never written over")
    key, pem = Ed25519PrivateKey.generate(), serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    shown = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    for path, data, mode in ((private, secret, 0o600), (public, shown, 0o644)):
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None
    return fingerprint(key.public_key())


def public_key(path: Path) -> "Ed25519PublicKey":
    """Return the public key of a PEM file.

    Raises:
        ConfigError: it holds no Ed25519 public key.
        StackMissing: the extra `sign` is not installed.
    """
    with _cryptography():
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    data = files.read(path, at_most_bytes=_KEY_BYTES_MAX, error=ConfigError)
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: holds no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path}: is no Ed25519 key")
    return key


def public_from(raw: str) -> "Ed25519PublicKey":
    """Return the public key of 32 bytes in base64.

    Raises:
        ConfigError: it is none.
        StackMissing: the extra `sign` is not installed.
    """
    with _cryptography():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(raw, validate=True))
    except ValueError:
        raise ConfigError("the signature names no Ed25519 key") from None


def raw(key: "Ed25519PublicKey") -> str:
    """Return a public key's 32 bytes in base64."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def fingerprint(key: "Ed25519PublicKey") -> str:
    """Return the name of a public key: SHA-256 of its 32 bytes, as SSH writes it."""
    digest = hashlib.sha256(key.public_bytes_raw()).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def sign(payload: bytes, key: "Ed25519PrivateKey") -> Envelope:
    """Return a payload in a signed envelope."""
    signature = base64.b64encode(key.sign(_encoding(PAYLOAD_TYPE, payload))).decode()
    return Envelope(
        payloadType=PAYLOAD_TYPE,
        payload=base64.b64encode(payload).decode(),
        signatures=(Signature(keyid=fingerprint(key.public_key()), sig=signature),),
    )


def payload_of(envelope: Envelope, *, where: str) -> bytes:
    """Return the payload of an envelope, whoever signed it.

    Raises:
        ConfigError: it is of another kind, or damaged.
    """
    if envelope.payloadType != PAYLOAD_TYPE or len(envelope.signatures) != 1:
        raise ConfigError(f"{where}: is no envelope of one signature over a run of this harness")
    try:
        return base64.b64decode(envelope.payload, validate=True)
    except ValueError:
        raise ConfigError(f"{where}: its payload is damaged") from None


def is_signed_by(envelope: Envelope, payload: bytes, key: "Ed25519PublicKey") -> bool:
    """Return whether the signature of an envelope over its payload was made with a key."""
    from cryptography.exceptions import InvalidSignature

    try:
        signature = base64.b64decode(envelope.signatures[0].sig, validate=True)
        key.verify(signature, _encoding(envelope.payloadType, payload))
    except (ValueError, InvalidSignature):
        return False
    return True


def _encoding(kind: str, payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def read(path: Path) -> Envelope:
    """Read an envelope.

    Raises:
        ConfigError: the file is missing or is none.
    """
    return schema.load_json(Envelope, path)
