"""The text of an API key, and the digest of it that is stored."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

ID_CHARACTERS, SECRET_CHARACTERS, CHECK_CHARACTERS = 12, 52, 6
PATTERN = re.compile(
    rf"moa-([a-z2-7]{{{ID_CHARACTERS}}})-([a-z2-7]{{{SECRET_CHARACTERS}}})([a-z2-7]{{{CHECK_CHARACTERS}}})"
)
SALT_BYTES = 16
SECRET_BYTES = 32  # 256 bits: no number of guesses finds one, so that a fast digest is enough


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key as its holder knows it: `moa-ID-SECRET`. The id is no secret; the end is a checksum of the rest."""

    id: str
    text: str

    @property
    def prefix(self) -> str:
        """Part of the key that listings show."""
        return prefix_of(self.id)

    def digest(self, salt: bytes) -> bytes:
        """Digest of the salt and the key."""
        return hashlib.sha256(salt + self.text.encode()).digest()

    def matches(self, salt: bytes, digest: bytes) -> bool:
        """True if `digest` is this key's; compared in constant time."""
        return hmac.compare_digest(self.digest(salt), digest)

    def __repr__(self) -> str:
        return f"KeyText({self.prefix})"


def prefix_of(key_id: str) -> str:
    """Part of the key with this id that listings show."""
    return f"moa-{key_id}"


def new_key() -> KeyText:
    """A new random key."""
    key_id, secret = _base32(secrets.token_bytes(10))[:ID_CHARACTERS], _base32(secrets.token_bytes(SECRET_BYTES))
    return KeyText(key_id, f"moa-{key_id}-{secret}{_check(key_id, secret)}")


def parsed_key(given: bytes | None) -> KeyText | None:
    """The key that a request gives, if it can be one of the store: wrong ones need not be looked up there."""
    if given is None or len(given) > 100 or not given.isascii() or not (found := PATTERN.fullmatch(given.decode())):
        return None
    key_id, secret, check = found.groups()
    return KeyText(key_id, given.decode()) if hmac.compare_digest(check, _check(key_id, secret)) else None


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _check(key_id: str, secret: str) -> str:
    return _base32(hashlib.sha256(f"{key_id} {secret}".encode()).digest())[:CHECK_CHARACTERS]
