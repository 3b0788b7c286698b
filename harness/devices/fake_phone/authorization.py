"""Let in only who holds the owner's adb key, as a phone's dialog does once for good.

The phone sends a token; adb signs it with each private key that it has. A public key alone, which
adb offers last for a person to accept, lets nobody in: everyone may know it.

Source: AOSP packages/modules/adb: protocol.txt (AUTH) and daemon/auth.cpp; the key's format is
system/core/libcrypto_utils/android_pubkey.cpp.
"""

import base64
import binascii
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TOKEN_BYTES = 20
_KEY = struct.Struct("<II256s256sI")
_WORDS = 64
_EXPONENTS = (3, 65537)
_SHA1_PREFIX = bytes.fromhex("3021300906052b0e03021a05000414")
"""DigestInfo of SHA-1; adb signs the token as if it were a digest. Source: RFC 8017, 9.2."""


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """An RSA key of 2048 bits that adb signs tokens with."""

    modulus: int
    exponent: int

    def signed(self, token: bytes, signature: bytes) -> bool:
        """Return whether a signature (PKCS #1 v1.5) over a token is of this key."""
        number = int.from_bytes(signature, "big")
        if len(signature) != 4 * _WORDS or number >= self.modulus:
            return False
        found = pow(number, self.exponent, self.modulus).to_bytes(4 * _WORDS, "big")
        ending = b"\0" + _SHA1_PREFIX + token
        return found == b"\0\1".ljust(4 * _WORDS - len(ending), b"\xff") + ending


def parse(text: bytes) -> PublicKey | None:
    """Read an `adbkey.pub`: the key in base64, then who made it; None where it is not one."""
    try:
        data = base64.b64decode(text.split()[0], validate=True)
        words, _, modulus, _, exponent = _KEY.unpack(data)
    except (IndexError, binascii.Error, struct.error):
        return None
    if words != _WORDS or exponent not in _EXPONENTS:
        return None
    return PublicKey(modulus=int.from_bytes(modulus, "little"), exponent=exponent)


def owners_keys(environ: Mapping[str, str] = os.environ) -> tuple[PublicKey, ...]:
    """Read the public keys of this user: `~/.android/adbkey.pub` and those of $ADB_VENDOR_KEYS."""
    keys = []
    for path in _files(environ):
        try:
            keys.append(parse(path.read_bytes()))
        except OSError:
            continue
    return tuple(key for key in keys if key is not None)


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    yield Path(os.path.expanduser("~/.android/adbkey.pub"))
    for name in environ.get("ADB_VENDOR_KEYS", "").split(os.pathsep):
        if name and Path(name).is_dir():
            yield from sorted(Path(name).glob("*.adb_key.pub"))
        elif name:
            yield Path(f"{name}.pub")
