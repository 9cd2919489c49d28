"""The benchmark of limits."""

import pytest

from loadtest.limits_cost import compare


async def test_each_way_has_its_times(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MOA_DATABASE_URL", "MOA_REDIS_URL"):
        monkeypatch.delenv(variable, raising=False)
    await compare(2)
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row[:36].strip() for row in rows] == ["no limits", "limits, no store", "limits, SQLite"]
