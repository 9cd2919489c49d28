"""What the observer counts, without a cluster: by Ray's own classes, their records caught."""

from typing import Any

import pytest
from ray.util import metrics as ray_metrics

from deployments.ingress.metrics import RayObserver

Recorded = list[tuple[str, float, dict[str, str]]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    found: Recorded = []

    def record(self: Any, value: float, tags: dict[str, str] | None = None) -> None:
        assert set(tags or {}) == set(self._tag_keys)
        found.append((self.info["name"], value, tags or {}))

    monkeypatch.setattr(ray_metrics.Metric, "_record", record)
    return found


def test_a_refusal_is_counted_by_its_code_and_nothing_else(recorded: Recorded) -> None:
    RayObserver().request_refused("invalid_api_key")
    assert recorded == [("moa_requests_refused", 1, {"code": "invalid_api_key"})]
