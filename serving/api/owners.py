"""Owners of files and batches: callers, by a name that stays the same when other keys come and go."""

import hashlib
from functools import lru_cache

from serving.api.key_settings import PLAIN_NAME
from serving.api.keys import Caller, KeyRing

SALT = b"moa owners"
# A key without a name is known by a digest that takes some 30 ms to compute: it is in the database.
COST = {"n": 2**13, "r": 8, "p": 1}
NAMED, PLAIN = "name:", "key:"


def owner_of(keys: KeyRing, caller: Caller) -> str:
    """Owner of what `caller` makes.

    A key without a name of its own is numbered by its place in the settings, which changes: its own digest stands for
    it.
    """
    if not PLAIN_NAME.fullmatch(caller.name):
        return NAMED + caller.name
    key = next(key for key, one in keys.callers if one.name == caller.name)
    return PLAIN + _digest(key)


def caller_of(keys: KeyRing, owner: str) -> Caller | None:
    """The caller that is `owner`; None: its key has been removed."""
    if owner == NAMED + keys.anyone.name:
        return keys.anyone if not keys.callers else None
    for key, caller in keys.callers:
        if owner == (PLAIN + _digest(key) if PLAIN_NAME.fullmatch(caller.name) else NAMED + caller.name):
            return caller
    return None


@lru_cache(maxsize=1024)
def _digest(key: bytes) -> str:
    return hashlib.scrypt(key, salt=SALT, dklen=16, **COST).hex()
