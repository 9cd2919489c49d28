"""Callers: those who send one key's requests, as the API knows them."""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from serving.pooling import EmbedRequest, RerankRequest
from serving.tenant import ANYONE, PRIORITIES, Tenant
from serving.types import GenerateRequest

PriorityClass = Literal["interactive", "standard", "batch"]
CLASSES: tuple[PriorityClass, ...] = ("interactive", "standard", "batch")  # the first runs earliest
NO_KEY = "none"  # name of the callers of a server without keys

Request = TypeVar("Request", GenerateRequest, EmbedRequest, RerankRequest)


@dataclass(frozen=True, slots=True)
class Caller:
    """The callers of one key's name. Several keys may have it, so that a key can be replaced."""

    name: str = NO_KEY
    tenant: Tenant = ANYONE
    priority_class: PriorityClass = "standard"
    max_in_flight: int | None = None  # None: bounded by the server's own limit alone

    def own(self, request: Request) -> Request:
        """`request` as this caller's: its priority within the class of the key, and its session among the tenant's."""
        level = CLASSES.index(self.priority_class) - CLASSES.index("standard")
        owned = replace(request, tenant=self.tenant, priority=level * PRIORITIES + request.priority)
        if isinstance(owned, GenerateRequest) and owned.session is not None and self.tenant.scope:
            digest = hashlib.blake2b(owned.session.encode(), digest_size=16, key=self.tenant.scope.encode())
            return replace(owned, session=digest.hexdigest())
        return owned


ANY_CALLER = Caller()
