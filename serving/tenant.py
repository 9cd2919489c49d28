"""Tenants: callers that share nothing with each other but the engines."""

from dataclasses import dataclass

PRIORITIES = 1024  # values of a request's `priority` within one class, from 0


@dataclass(frozen=True, slots=True)
class Tenant:
    """The callers of one key's name, as engines know them.

    `id` is a keyed digest, which tells neither the name nor the key. It is empty if all callers are one tenant.
    """

    id: str = ""
    isolated: bool = False  # nothing that one tenant computed is used for another

    @property
    def scope(self) -> str:
        """Part of the keys of all caches and of all shared calls; empty if they are common to all tenants."""
        return self.id if self.isolated else ""


ANYONE = Tenant()
