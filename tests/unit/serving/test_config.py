"""YAML files by name and by path, with one sentence per error."""

from pathlib import Path

import pytest

from serving.config import YamlDirectory
from serving.errors import ConfigError
from serving.recipes import load_recipes


@pytest.fixture
def directory(tmp_path: Path) -> YamlDirectory:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"id: {name}\n")
    return YamlDirectory(tmp_path, "sauce", required_keys=("id", "taste"))


def test_by_name_and_by_path(directory: YamlDirectory, tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text("id: own\n")
    assert directory.names == ["one", "two"]
    assert directory.read("two") == {"id": "two"}
    assert directory.read(str(tmp_path / "own.yml")) == {"id": "own"}


def test_an_unknown_name_is_told_the_known_ones(directory: YamlDirectory) -> None:
    with pytest.raises(
        ConfigError, match="There is no sauce 'three'; choose one of one, two, or give the path of a YAML file"
    ):
        directory.read("three")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"id: [", r"own\.yaml is not YAML at line 1, column 6: "),
        (b"- id", r"own\.yaml must hold a mapping with 'id' and 'taste'"),
        (b"id: \xff", r"own\.yaml cannot be read: it is not UTF-8 at byte 4"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(
    directory: YamlDirectory, tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "own.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        directory.read(str(tmp_path / "own.yaml"))


def test_a_former_name_is_refused_with_the_current_one() -> None:
    with pytest.raises(ConfigError, match=r"Rename 'prewarm' in .*: it is now called 'prefill'"):
        load_recipes([{"id": "team", "layers": [["a"]], "aggregator": "a", "prewarm": "off"}])


def test_an_error_in_a_file_does_not_quote_it(directory: YamlDirectory, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("id: a\napi_key: sk-very-secret: [\n")
    with pytest.raises(ConfigError) as caught:
        directory.read(str(path))
    assert "line 2" in str(caught.value)
    assert "sk-very-secret" not in str(caught.value)
