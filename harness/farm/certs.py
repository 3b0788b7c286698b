"""A farm's own certificate authority, and short-lived certificates for both ends of each link.

Certificates have no roles: whoever holds one may ask, answer and schedule, and so run code on
every machine of the farm. The names only say whose file it is. docs/threat-model.md is the page.
"""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import extras
from harness.errors import ConfigError, StackMissing

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ROLES = ("scheduler", "host", "client")
AUTHORITY = "ca"
_AUTHORITY_DAYS = 730
DAYS = 30
_CLOCK_SKEW = datetime.timedelta(minutes=5)


def make(folder: Path, *, names: Sequence[str] = (), days: int = DAYS) -> list[Path]:
    """Write an authority where there is none, and a new certificate of it for each role.

    Args:
        folder: `ca.pem` and `ca.key` are kept; `<role>.pem` (key and certificate) is replaced.
        names: Host names and addresses to write into the certificates, for people who read them.
        days: How long they are good for.

    Returns:
        What was written.

    Raises:
        StackMissing: the extra `farm` is not installed.
        ConfigError: the folder's authority cannot be read, or nothing can be written there.
    """
    _import()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        written = []
        if not (folder / f"{AUTHORITY}.key").exists():
            written += _make_authority(folder)
        authority = _read_authority(folder)
        for role in ROLES:
            path = folder / f"{role}.pem"
            _write_secret(path, _issue(authority, role, names, days))
            written.append(path)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror})") from None
    return written


def expires_utc(path: Path) -> datetime.datetime:
    """Return when the certificate in a file ends.

    Raises:
        ConfigError: there is none in it.
    """
    _import()
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: no certificate can be read from it ({error})") from None


def _import() -> None:
    try:
        import cryptography  # noqa: F401
    except ModuleNotFoundError as error:
        raise StackMissing(
            f"{error.name} is not installed; {extras.install_command('farm')} adds it"
        ) from None


def _make_authority(folder: Path) -> list[Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("device harness farm", _AUTHORITY_DAYS, key)
    usage = dict.fromkeys(
        (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
            "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        ),
        False,
    )  # fmt: skip
    signing = x509.KeyUsage(**(usage | {"key_cert_sign": True, "crl_sign": True}))
    signed = (
        builder.issuer_name(_name("device harness farm"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signing, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, _hash())
    )
    place = folder / f"{AUTHORITY}.pem"
    place.write_bytes(_pem(signed))
    _write_secret(folder / f"{AUTHORITY}.key", _key_pem(key))
    return [place, folder / f"{AUTHORITY}.key"]


def _read_authority(folder: Path) -> "tuple[x509.Certificate, Any]":
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{AUTHORITY}.pem").read_bytes())
        key = load_pem_private_key((folder / f"{AUTHORITY}.key").read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: its authority cannot be read ({error})") from None
    return certificate, key


def _issue(
    authority: "tuple[x509.Certificate, Any]", role: str, names: Sequence[str], days: int
) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    certificate, signer = authority
    key = ec.generate_private_key(ec.SECP256R1())
    both_ends = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    signed = (
        _builder(role, days, key)
        .issuer_name(certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_ends), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_alternative(n) for n in ("localhost", *names)]),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
        .sign(signer, _hash())
    )
    return _key_pem(key) + _pem(signed)


def _builder(name: str, days: int, key: "EllipticCurvePrivateKey") -> "x509.CertificateBuilder":
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _name(common: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        raise ConfigError(f"{name!r:.80} is neither a host name nor an address") from None


def _hash() -> Any:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256()


def _pem(certificate: "x509.Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: "EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write_secret(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, in one step."""
    part = path.with_suffix(f".part{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    part.replace(path)
