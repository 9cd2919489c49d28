"""The revision of a model: another one for all that makes other answers."""

from pathlib import Path
from typing import Any

import pytest

from deployments.adapter_spec import AdapterSpec
from deployments.model_revision import READ_BYTES, revision_of
from deployments.model_spec import ModelSpec, Replicas


def spec(source: Path, **fields: Any) -> ModelSpec:
    options = {"max_model_len": 100, **fields.pop("engine_kwargs", {})}
    return ModelSpec(id="m", source=str(source), accelerator="cpu", engine_kwargs=options, **fields)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(bytes(READ_BYTES + 1))
    return tmp_path


@pytest.mark.parametrize(
    "fields",
    [
        {"engine_kwargs": {"revision": "v2"}},
        {"engine_kwargs": {"quantization": "fp8"}},
        {"engine_kwargs": {"chat_template": "{{ messages }}"}},
        {"env": {"X": "1"}},
        {"adapters": (AdapterSpec(id="one", source="owner/adapter"),)},
    ],
)
def test_settings_change_it(folder: Path, fields: dict[str, Any]) -> None:
    assert revision_of(spec(folder, **fields)) != revision_of(spec(folder))


def test_replicas_limits_and_prices_do_not(folder: Path) -> None:
    assert revision_of(spec(folder, replicas=Replicas(min=3), deadline_s=1, description="x")) == revision_of(
        spec(folder)
    )


def test_weights_in_a_folder_change_it(folder: Path, tmp_path: Path) -> None:
    before = revision_of(spec(folder))
    (folder / "config.json").write_text("[]")
    other = revision_of(spec(folder))
    (folder / "model.safetensors").write_bytes(bytes(READ_BYTES + 2))
    larger = revision_of(spec(folder))
    assert len({before, other, larger, revision_of(spec(Path("owner/name")))}) == 4


def test_a_file_that_cannot_be_read_stops_nothing(folder: Path) -> None:
    (folder / "broken").symlink_to(folder / "missing")
    assert revision_of(spec(folder))
