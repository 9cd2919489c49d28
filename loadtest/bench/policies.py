"""Prefill policies that the recipe rows compare, by the name of their column."""

from collections.abc import Mapping
from typing import Any

from serving.runtime.policy import Policy

DEFAULT = str(Policy.model_fields["prefill"].default)
POLICIES: Mapping[str, Mapping[str, Any]] = {
    f"{prefill}{suffix}": {"prefill": prefill, **order}
    for suffix, order in (("", {}), ("+arrival", {"reference_order": "arrival"}))
    for prefill in ("off", "on_complete", "incremental")
    if not (order and prefill == "off")
}
