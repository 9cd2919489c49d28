from pathlib import Path

import pytest

from scripts.check_docstrings import main, violations


@pytest.mark.parametrize(
    "docstring",
    ["What it is.", "Whether it holds.", "who", "\n    Where it is.\n", "Which one?", "When, ever.", "How's it"],
)
def test_a_question_word_at_the_beginning_is_found(docstring: str) -> None:
    assert [line for line, _ in violations(f'"""{docstring}"""\n')] == [1]


@pytest.mark.parametrize("docstring", ["Whatever it is.", "However.", "The place where it is.", "..."])
def test_other_beginnings_pass(docstring: str) -> None:
    assert list(violations(f'"""{docstring}"""\n')) == []


def test_functions_methods_and_classes_are_checked() -> None:
    method = '    async def b(self):\n        """Who."""\n'
    source = f'class A:\n    """Which."""\n\n{method}\n\ndef c():\n    """How."""\n    return "What"\n'
    assert sorted(violations(source)) == [(2, "Which."), (5, "Who."), (9, "How.")]


def test_the_command_lists_places_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.py").write_text('"""What."""\n')
    (tmp_path / "good.py").write_text('"""A module."""\n')
    assert main([str(tmp_path / "good.py")]) == 0
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"{tmp_path / 'bad.py'}:1: What.\n"
