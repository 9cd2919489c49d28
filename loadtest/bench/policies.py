"""The ways of prefilling ahead that a team's rows compare, by the name of their column."""

from collections.abc import Mapping
from typing import Any

from serving.policy import Policy

DEFAULT = str(Policy.model_fields["prewarm"].default)
POLICIES: Mapping[str, Mapping[str, Any]] = {
    f"{prewarm}{suffix}": {"prewarm": prewarm, **order}
    for suffix, order in (("", {}), ("+arrival", {"reference_order": "arrival"}))
    for prewarm in ("off", "on_complete", "incremental")
    if not (order and prewarm == "off")
}
