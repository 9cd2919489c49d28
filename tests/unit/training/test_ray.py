"""Training on Ray without Ray Train: one sentence. A real one is in tests/serve."""

import sys
from pathlib import Path

import pytest

from training.errors import TrainingError
from training.job import TrainingJob
from training.ray import run_on_ray


def test_without_ray_train_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray.train", None)
    job = TrainingJob(method="sft", base="b", data="d", out=str(tmp_path))
    with pytest.raises(TrainingError, match=r"Ray Train is not installed \(.*\); leave out --ray-workers"):
        run_on_ray(job, 2)
