"""Storage: crashes, concurrent writers, manifests."""

import json
from pathlib import Path

import pytest

from evaluation.errors import EvaluationError
from evaluation.rows import Row
from evaluation.store import MANIFEST, Appender, keep_manifest, read_answers, read_arms, read_rows
from tests.support.rows import agent, row


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    written = row("team", "1", "grüße\n", trace=[agent("a", "x", total_s=0.5)], cost_usd=None, skill="s")
    with Appender(path) as appender:
        appender.append(written)
    assert read_rows(path, Row) == [written]


def test_the_last_row_of_a_key_counts(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with Appender(path) as appender:
        appender.append(row("team", "1", "", error="lost"))
        appender.append(row("team", "1", "yes"))
    assert [found.text for found in read_rows(path, Row)] == ["yes"]


def test_a_line_cut_short_by_a_crash_is_dropped_and_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with Appender(path) as appender:
        appender.append(row("team", "1", "yes"))
        appender.append(row("team", "2", "yes"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert [found.item for found in read_rows(path, Row)] == ["1"]
    with Appender(path) as appender:
        appender.append(row("team", "3", "yes"))
    assert [found.item for found in read_rows(path, Row)] == ["1", "3"]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"arm": "a"}\n{}\n')
    with pytest.raises(EvaluationError, match=r"rows\.jsonl:1 is not a row"):
        read_rows(path, Row)


def test_two_writers_are_refused(tmp_path: Path) -> None:
    with Appender(tmp_path / "rows.jsonl"), pytest.raises(EvaluationError, match="Another command is writing"):
        Appender(tmp_path / "rows.jsonl").__enter__()


def test_no_answers_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="python -m evaluation run"):
        read_answers(tmp_path)


def test_a_manifest_grows_but_never_changes(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    keep_manifest(path, {"arm": {"a": 1}, "setting": {"seed": 0}})
    keep_manifest(path, {"arm": {"b": 2}, "setting": {"seed": 0}})
    assert json.loads(path.read_text())["arm"] == {"a": 1, "b": 2}
    with pytest.raises(EvaluationError, match="setting 'seed' was 0, is now 1"):
        keep_manifest(path, {"arm": {"a": 1}, "setting": {"seed": 1}})
    assert json.loads(path.read_text())["setting"] == {"seed": 0}


def test_a_lone_surrogate_is_replaced_and_its_row_known_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    odd = row("team", "odd \ud800", "a\udfffb", trace=[agent("a", "\ud800")])
    with Appender(path) as appender:
        appender.append(odd)
    (found,) = read_rows(path, Row)
    assert (found.item, found.text, found.trace[0].text) == ("odd �", "a�b", "�")
    assert found.key == odd.key


@pytest.mark.parametrize("content", ["", "{", "[]", '{"arm": 3}', "\x00"])
def test_a_broken_manifest_is_one_sentence(content: str, tmp_path: Path) -> None:
    path = tmp_path / MANIFEST
    path.write_text(content)
    for use in (lambda: keep_manifest(path, {"arm": {}}), lambda: read_arms(tmp_path)):
        with pytest.raises(EvaluationError, match="is not the settings of a run"):
            use()


def test_a_missing_manifest_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"No such file or directory\. It belongs to every run"):
        read_arms(tmp_path)


def test_a_directory_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(EvaluationError, match="Cannot write"):
        keep_manifest(tmp_path / "out" / MANIFEST, {"arm": {}})
    with pytest.raises(EvaluationError, match="Cannot write"):
        Appender(tmp_path / "out" / "rows.jsonl").__enter__()


def test_a_killed_command_leaves_a_whole_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / MANIFEST
    keep_manifest(path, {"arm": {"a": {}}})
    monkeypatch.setattr(Path, "write_text", _cut_short)
    with pytest.raises(KeyboardInterrupt):
        keep_manifest(path, {"arm": {"a": {}, "b": {}}})
    assert read_arms(tmp_path) == ["a"]


def _cut_short(path: Path, text: str, **_: object) -> int:
    path.write_bytes(text.encode()[:10])
    raise KeyboardInterrupt
