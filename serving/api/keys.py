"""The accepted API keys, and the caller behind each: those who send its requests."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from serving.api.key_settings import NO_KEY, PriorityClass
from serving.api.settings import ApiSettings
from serving.errors import ConfigError, Unauthorized
from serving.pooling import EmbedRequest, RerankRequest
from serving.redaction import InvalidKey, check_key
from serving.tenant import ANYONE, PRIORITIES, Tenant
from serving.types import GenerateRequest

DIGEST_CHARACTERS = 32  # 128 bits
CLASSES: tuple[PriorityClass, ...] = ("interactive", "standard", "batch")  # the first runs earliest

Request = TypeVar("Request", GenerateRequest, EmbedRequest, RerankRequest)


@dataclass(frozen=True, slots=True)
class Caller:
    """The callers of one key's name. Several keys may have it, so that a key can be replaced."""

    name: str = NO_KEY
    tenant: Tenant = ANYONE
    priority_class: PriorityClass = "standard"
    max_in_flight: int | None = None  # None: bounded by the server's own limit alone
    admin: bool = False  # may read what concerns all keys

    def own(self, request: Request) -> Request:
        """`request` as this caller's: its priority within the class of the key, and its session among the tenant's."""
        level = CLASSES.index(self.priority_class) - CLASSES.index("standard")
        owned = replace(request, tenant=self.tenant, priority=level * PRIORITIES + request.priority)
        if isinstance(owned, GenerateRequest) and owned.session is not None and self.tenant.scope:
            digest = hashlib.blake2b(owned.session.encode(), digest_size=16, key=self.tenant.scope.encode())
            return replace(owned, session=digest.hexdigest())
        return owned


ANY_CALLER = Caller()


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Callers by key. Without keys everybody is the caller `anyone`, whatever key a request has."""

    callers: tuple[tuple[bytes, Caller], ...]
    anyone: Caller

    def caller(self, given: bytes | None) -> Caller:
        """The caller with the key `given`; None: the request has none.

        All keys are compared, each in constant time, so that response times reveal nothing.

        Raises:
            Unauthorized: there is no such key.
        """
        matches = [caller for key, caller in self.callers if hmac.compare_digest(given or b"", key)]
        if not matches:
            raise Unauthorized
        return matches[0]


def key_ring(settings: ApiSettings) -> KeyRing:
    """The keys of `settings`.

    Keys of one name are one caller. Each key of `api_key` is a caller of its own, `key-1` and so on. All replicas that
    have the same settings give a caller the same tenant.

    Raises:
        ConfigError: two names have the same key, one name has two classes or limits, a key's variable was not read, or
            a key is not one line of printable ASCII.
        ValueError: the same, for a key of `api_key`.
    """
    anyone = Caller(priority_class=settings.priority_class, max_in_flight=settings.max_in_flight_per_key)
    named: dict[bytes, Caller] = {}
    for number, key in enumerate(settings.plain_keys(), start=1):
        named.setdefault(key, replace(anyone, name=f"key-{number}"))
    by_name: dict[str, Caller] = {}
    for one in settings.keys:
        if one.key is None:
            raise ConfigError(f"The key '{one.name}' of api.keys has not been read from {one.key_env}.")
        try:
            key = check_key(one.key.get_secret_value()).encode()
        except InvalidKey as why:
            raise ConfigError(f"The key '{one.name}' of api.keys {why}.") from None
        caller = Caller(
            one.name,
            priority_class=one.priority_class or settings.priority_class,
            max_in_flight=one.max_in_flight or settings.max_in_flight_per_key,
        )
        if by_name.setdefault(one.name, caller) != caller:
            raise ConfigError(f"Give all keys of the name '{one.name}' in api.keys the same class and limit.")
        if named.setdefault(key, caller).name != one.name:
            raise ConfigError(f"Change the key '{one.name}' in api.keys: '{named[key].name}' has the same.")
    return KeyRing(tuple((key, _with_tenant(caller, key, named, settings)) for key, caller in named.items()), anyone)


def _with_tenant(caller: Caller, key: bytes, named: Mapping[bytes, Caller], settings: ApiSettings) -> Caller:
    """`caller` with its tenant: a digest of its name, or of its key if it has none, under the server's secret."""
    if len({one.name for one in named.values()}) < 2:
        return caller  # there is nobody to be apart from
    own = b"name " + caller.name.encode() if any(one.name == caller.name for one in settings.keys) else b"key " + key
    tenant = hmac.new(_secret(named, settings), own, hashlib.sha256).hexdigest()[:DIGEST_CHARACTERS]
    return replace(caller, tenant=Tenant(tenant, isolated=not settings.share_between_keys))


def _secret(named: Mapping[bytes, Caller], settings: ApiSettings) -> bytes:
    """The secret of tenants' digests: the setting's, or one that follows from all keys."""
    if settings.tenant_secret is not None:
        return settings.tenant_secret.get_secret_value().encode()
    digests = sorted(hashlib.sha256(key).digest() for key in named)
    return hmac.new(b"tenants", b"".join(digests), hashlib.sha256).digest()
