"""Import of the user's own classes and functions."""

import sys
from pathlib import Path

import pytest

from evaluation.imports import imported


def test_the_object_itself_is_returned() -> None:
    assert imported("pathlib:Path") is Path


@pytest.mark.parametrize(
    ("source", "name", "reason"),
    [
        ("import sys\nsys.exit('no argument')", "Kind", "SystemExit: no argument"),
        ("1 / 0", "Kind", "ZeroDivisionError: division by zero"),
        ("", "Kind", "AttributeError: module 'own_module' has no attribute 'Kind'"),
    ],
)
def test_every_failure_is_an_import_error(
    source: str, name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that ends the program when it is imported ended the command without a sentence."""
    (tmp_path / "own_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_module", raising=False)
    with pytest.raises(ImportError, match=reason):
        imported(f"own_module:{name}")
