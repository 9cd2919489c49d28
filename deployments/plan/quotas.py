"""EC2 quotas that a profile needs on AWS: `python -m deployments.plan large --quotas`."""

from collections.abc import Iterator
from dataclasses import dataclass

from deployments.config import Profile
from deployments.plan.answer_tokens import aggregator
from deployments.plan.placement import placed
from deployments.plan.prices import load_prices


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota of EC2 for a class of instances, and the vCPUs that a profile needs of it."""

    code: str
    name: str
    running: int  # vCPUs with every model at its maximum of replicas
    upgrade: int  # vCPUs of the second cluster of an upgrade, with every model at its minimum

    @property
    def vcpus(self) -> int:
        """Number of vCPUs to ask for: an upgrade can begin while every model is at its maximum."""
        return self.running + self.upgrade


# Letter of the instance family -> (code, name) of its quotas for spot and on-demand instances.
SPOT = {
    "g": ("L-3819A6DF", "All G and VT Spot Instance Requests"),
    "p": ("L-7212CCBC", "All P Spot Instance Requests"),
}
ON_DEMAND = {
    "g": ("L-DB2E81BA", "Running On-Demand G and VT instances"),
    "p": ("L-417A185B", "Running On-Demand P instances"),
}


def quotas(profile: Profile, *, spot: bool = True) -> list[Quota]:
    """List the quotas of EC2 that `profile` needs on the cheapest instance types.

    One replica of the aggregator is on demand. Without `spot` all replicas are, as while no spot capacity exists.

    Raises:
        ConfigError: the profile has models without GPUs, or no instance type is large enough.
    """
    needed: dict[tuple[str, str], list[float]] = {}
    placement = placed(profile.models, load_prices(), profile.base_of(aggregator(profile)))
    most = {model.id: model.replicas.max or model.replicas.min for model in profile.models}
    least = {model.id: model.replicas.min for model in profile.models}
    for which, counts in enumerate((most, least)):
        for choice in placement.with_replicas(counts).choices.values():
            family, vcpus = choice.instance_name[0], choice.instance.vcpus
            kept = choice.on_demand_nodes if spot else choice.nodes
            needed.setdefault(SPOT[family], [0.0, 0.0])[which] += vcpus * (choice.nodes - kept)
            needed.setdefault(ON_DEMAND[family], [0.0, 0.0])[which] += vcpus * kept
    rounded = {quota: [round(vcpus) for vcpus in found] for quota, found in needed.items()}
    return [Quota(code, name, *vcpus) for (code, name), vcpus in rounded.items() if any(vcpus)]


def report(profile: Profile) -> str:
    """Return the page as text.

    Raises:
        ConfigError: as `quotas`.
    """
    return "\n".join(
        [
            f"vCPUs of GPU nodes that {profile.name} needs on AWS, on the cheapest instance types",
            "",
            f"{'quota of EC2':<50} {'at most replicas':>17} {'upgrade':>8} {'together':>9}",
            *_rows(quotas(profile)),
            "without spot capacity",
            *_rows(quotas(profile, spot=False)),
        ]
    )


def _rows(found: list[Quota]) -> Iterator[str]:
    for quota in found:
        yield f"{f'{quota.code}  {quota.name}':<50} {quota.running:>17} {quota.upgrade:>8} {quota.vcpus:>9}"
