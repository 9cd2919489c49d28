"""Adapters from the hub and from buckets: what is asked of the libraries, and what an operator reads if they fail."""

from pathlib import Path
from typing import Any

import pytest

from deployments.adapter_spec import AdapterSpec
from deployments.model import adapter_fetching
from deployments.model.adapter_fetching import FetchedAdapters
from deployments.model_spec import ModelSpec
from serving.errors import ConfigError


def model(**sources: str) -> ModelSpec:
    adapters = tuple(AdapterSpec(id=name, source=source) for name, source in sources.items())
    return ModelSpec(id="m", source="org/m", adapters=adapters, engine_kwargs={"max_model_len": 8})


async def test_each_source_has_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def hub(source: str, *, allow_patterns: list[str]) -> str:
        asked.append((source, allow_patterns))
        return str(tmp_path)

    def bucket(folder: str, source: str) -> None:
        asked.append(source)
        (Path(folder) / "adapter_config.json").write_text("{}")

    monkeypatch.setattr(adapter_fetching, "snapshot_download", hub)
    monkeypatch.setattr(adapter_fetching.CloudFileSystem, "download_files", bucket)
    fetched = FetchedAdapters()
    spec = model(a="org/a", b="s3://bucket/b", c="gs://bucket/c", d=str(tmp_path / "none"), e="models/none")
    found = await fetched.folders(spec)
    assert found["a"] == tmp_path
    assert [(found[name] / "adapter_config.json").read_text() for name in "bc"] == ["{}", "{}"]
    assert found["b"] != found["c"]
    assert (found["d"], found["e"]) == (tmp_path / "none", spec.adapters[4].folder), "missing: the check says so"
    assert {"s3://bucket/b", "gs://bucket/c"} == {one for one in asked if isinstance(one, str)}
    [(source, patterns)] = [one for one in asked if isinstance(one, tuple)]
    assert source == "org/a"
    assert {"adapter_config.json", "adapter_model.safetensors"} < {*patterns}


@pytest.mark.parametrize("source", ["s3://bucket/b", "org/b"])
async def test_an_adapter_that_cannot_be_fetched_is_named(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError("403 Forbidden.")

    monkeypatch.setattr(adapter_fetching, "snapshot_download", fails)
    monkeypatch.setattr(adapter_fetching.CloudFileSystem, "download_files", fails)
    with pytest.raises(ConfigError, match=rf"'sql' cannot be fetched from '{source}' \(403 Forbidden\); correct its"):
        await FetchedAdapters().folders(model(sql=source))
