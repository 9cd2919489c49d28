"""Files of settings: what YAML allows and would surprise is refused in one sentence."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.errors import ConfigError
from serving.yaml_file import read_yaml

VARIABLE = "Change 'a[1].b' in own.yaml: variables such as ${KEY} are not replaced; write the value itself."

NO_CHARACTER = "Change own.yaml: line 1 has an escape of no character, or a version that is none."
# A list in a list in a list, each by an alias: no depth in the text, and the whole of it at the first look.
CHAIN = (
    "x:\n  a0: &a0 [x]\n"
    + "".join(f"  a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2000))
    + "  m: &m {z: *a1999}\n<<: *m\n"
)


def twice(key: str, first: int, second: int) -> str:
    return f"Change own.yaml: '{key}' of line {first} is given again in line {second}; remove one of them."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "own.yaml"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: {b: 1}\nc: {b: 2}\n", {"a": {"b": 1}, "c": {"b": 2}}),
        ("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  a: 3\n", {"x": {"a": 1, "b": 2}, "y": {"a": 3, "b": 2}}),
        ("x: &x {a: 1}\ny: &y {b: 2}\nz: {<<: *x, <<: *y}\n", {"x": {"a": 1}, "y": {"b": 2}, "z": {"a": 1, "b": 2}}),
        # A mapping is merged into another one before its own `<<` is.
        (
            "a: &a {x: 1}\nb:\n  c: &c {<<: *a, x: 2}\nd: {<<: *c, y: 3}\n",
            {"a": {"x": 1}, "b": {"c": {"x": 2}}, "d": {"x": 2, "y": 3}},
        ),
        ("released: 2026-01-31\nat: 2026-01-31 10:00:00\n", {"released": "2026-01-31", "at": "2026-01-31 10:00:00"}),
        ("a: ~\nb: no\nc: 1e3\n", {"a": None, "b": False, "c": "1e3"}),
        (
            "a: cost in $ or ${} of {x}\nb: echo ${HOME} and more\n",
            {"a": "cost in $ or ${} of {x}", "b": "echo ${HOME} and more"},
        ),
        ("", None),
    ],
)
def test_what_a_file_holds(file: Path, text: str, value: Any) -> None:
    file.write_text(text)
    assert read_yaml(file) == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("api: {api_key: k}\nmodels: []\napi:\n  host: x\n", twice("api", 1, 3)),
        ("a:\n- b: 1\n  'b': 2\n", twice("b", 2, 3)),
        ("1: a\n1: b\n", twice("1", 1, 2)),
        ("a: [x, {b: '${KEY}'}]\n", VARIABLE),
        ("[" * 3000, "own.yaml cannot be read: it is nested too deeply."),
        ("a: " + "[" * 3000 + "]" * 3000, "own.yaml cannot be read: it is nested too deeply."),
        ("a: 1\nb: !!int sk-1\n", "Change own.yaml: line 2 has a value that is no int."),
        ("a: !!int ''\n", "Change own.yaml: line 1 has a value that is no int."),
        ("a: 0x_\n", "Change own.yaml: line 1 has a value that is no int."),
        ("a: 1" + ":00" * 200 + ".0\n", "Change own.yaml: line 1 has a value that is no float."),
        ("!!bool sk-1: 1\n", "Change own.yaml: line 1 has a value that is no bool."),
        ("a: [!!timestamp sk-1]\n", "Change own.yaml: line 1 has a value that is no timestamp."),
        ('a: "\\UFFFFFFFF"\n', NO_CHARACTER),
        ('a: "\\U00110000"\n', NO_CHARACTER),
        (CHAIN, "own.yaml cannot be read: it is nested too deeply."),
        ("a: !!bool x\n", "Change own.yaml: line 1 has a value that is no bool."),
        ("a: !!float ''\n", "Change own.yaml: line 1 has a value that is no float."),
        ("? [a]\n: b\n", "own.yaml is not YAML at line 1, column 3: found unhashable key."),
    ],
)
def test_what_is_refused(file: Path, text: str, sentence: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(file)
    assert str(caught.value).replace(f"{file.parent}/", "") == sentence


def test_texts_that_many_aliases_name_are_looked_at_once(file: Path) -> None:
    layers = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 40))
    file.write_text("l0: &l0 [x]\n" + layers)
    assert len(read_yaml(file)) == 40


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read: No such file or directory\."):
        read_yaml(tmp_path / "none.yaml")


def test_packages_that_change_pyyaml_change_nothing_here(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    constructors = yaml.SafeLoader.yaml_constructors
    monkeypatch.setitem(constructors, "tag:yaml.org,2002:timestamp", constructors["tag:yaml.org,2002:str"])
    file.write_text("a: !!timestamp sk-1\n")
    with pytest.raises(ConfigError, match="no timestamp"):
        read_yaml(file)
