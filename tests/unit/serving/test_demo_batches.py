"""The demo's batches are its own."""

from pathlib import Path

import pytest

from serving.batches.settings import BatchSettings
from serving.demo import demo_batches
from serving.store.settings import StoreSettings


async def test_the_demo_does_not_answer_the_batches_of_a_real_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("MOA_DATABASE_URL", "postgresql://host/name")
    monkeypatch.setenv("MOA_REDIS_URL", "redis://host")
    batches = demo_batches(BatchSettings(files="s3://bucket/files", max_lines=7))
    assert batches.store.database.embedded
    assert str(batches.store.database.url.database) != str(StoreSettings().file())
    assert batches.settings.files is None
    assert batches.settings.max_lines == 7
    assert batches.works
    await batches.store.close()
