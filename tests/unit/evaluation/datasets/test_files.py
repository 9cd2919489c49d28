"""File formats: what is read, and what is refused by name."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from evaluation.datasets.loading import Dataset, load
from evaluation.errors import EvaluationError
from tests.support.dataset_rows import ARC, HOTPOTQA, MMLU, MMLU_REDUX, PUBLISHED, SQUAD, TRIVIAQA

TWO = [{"question": "Where is the Prado?", "answer": "Madrid"}, {"question": "A line\nbreak?", "answer": 'a "b"'}]
LINES = "".join(json.dumps(row) + "\n" for row in TWO)


def as_table(delimiter: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, ["question", "answer"], delimiter=delimiter)
            writer.writeheader()
            writer.writerows(TWO)

    return write


FORMATS: dict[str, Callable[[Path], Any]] = {
    "a.jsonl": lambda path: path.write_text(LINES),
    "a.json": lambda path: path.write_text(json.dumps(TWO, indent=2)),
    "a": lambda path: path.write_text(LINES),
    "windows.jsonl": lambda path: path.write_bytes(LINES.replace("\n", "\r\n").encode()),
    "bom.jsonl": lambda path: path.write_text(LINES, encoding="utf-8-sig"),
    "bom.json": lambda path: path.write_text(json.dumps(TWO), encoding="utf-8-sig"),
    "a.csv": as_table(","),
    "a.tsv": as_table("\t"),
    "a.parquet": lambda path: pyarrow.parquet.write_table(pyarrow.Table.from_pylist(TWO), path),
    "a.jsonl.gz": lambda path: path.write_bytes(gzip.compress(LINES.encode())),
    "a.json.gz": lambda path: path.write_bytes(gzip.compress(json.dumps(TWO).encode("utf-8-sig"))),
    "a.csv.gz": lambda path: (as_table(",")(path), path.write_bytes(gzip.compress(path.read_bytes()))),
    "no_suffix": lambda path: path.write_bytes(gzip.compress(LINES.encode())),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_read(name: str, tmp_path: Path) -> None:
    FORMATS[name](tmp_path / name)
    items = load(str(tmp_path / name)).items
    assert [item.answer for item in items] == ["Madrid", 'a "b"']
    assert [item.turns[0].partition("?")[0] for item in items] == ["Where is the Prado", "A line\nbreak"]


@pytest.mark.parametrize("row", [ARC, HOTPOTQA, MMLU, MMLU_REDUX, SQUAD, TRIVIAQA], ids=lambda row: str(row)[:20])
def test_parquet_files_of_hugging_face_have_the_same_items(row: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    # Empty structs cannot be written: the documents of TriviaQA are lists there.
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "a.parquet")
    lines, table = (load(str(tmp_path / name)) for name in ("a.jsonl", "a.parquet"))
    assert (lines.kind, lines.items) == (table.kind, table.items)


def test_cells_hold_numbers_letters_and_lists(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        'id,question,choices,answer,subject\n7,Which?,"[""x"", ""y""]",1,\n8,Which?,"[\'x\', \'y\']",A,art\n'
    )
    dataset = load(str(tmp_path / "a.csv"))
    found = [(item.id, item.answer, item.skill) for item in dataset.items]
    assert (dataset.kind, found) == ("mmlu", [("7", "B", ""), ("8", "A", "art")])


def test_all_published_rows_can_be_read_as_one_array_each(tmp_path: Path) -> None:
    for row, kind, _ in PUBLISHED.values():
        (tmp_path / "a.json").write_text(json.dumps([row], indent=1), encoding="utf-8-sig")
        assert load(str(tmp_path / "a.json")).kind == kind


def test_a_line_separator_within_a_text_is_no_end_of_the_line(tmp_path: Path) -> None:
    row = {"question": "one\u2028two\x85three\x0cfour", "answer": "a"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row, ensure_ascii=False))
    assert "one\u2028two\x85three" in load(str(tmp_path / "a.jsonl")).items[0].turns[0]


BROKEN: list[tuple[str, bytes, str]] = [
    ("a.zip", b"PK\x03\x04", "Cannot read 'FILE': convert it to one of .jsonl, .json, .csv, .tsv, .parquet, or any"),
    ("a.xlsx", b"PK\x03\x04", "convert it to one of"),
    ("a.jsonl.zst", b"\x28\xb5\x2f\xfd", "convert it to one of"),
    ("a.tar.gz", gzip.compress(b"a\0b", mtime=0), "convert it to one of"),
    ("a.arrow", b"ARROW1", "convert it to one of"),
    ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)[:-9], "Cannot unpack 'FILE': it is no complete gzip file."),
    ("a.jsonl", b"\x1f\x8bnothing", "Cannot unpack 'FILE'"),
    ("a.parquet", b"PAR1nothing", "Cannot read 'FILE': it is no valid Parquet file."),
    ("a.parquet", b"question", "it is no valid Parquet file."),
    ("a.jsonl", LINES.encode() + b'{"question": "\xe9"}', "FILE:3: the text is not UTF-8; convert the file."),
    ("a.jsonl", LINES.encode("utf-16"), "FILE:1: the text is not UTF-8"),
    ("a.jsonl", LINES.encode() + b"{'question': 1}", "FILE:3: no valid JSON: Expecting property name"),
    ("a.json", b'[{"question": 1},\n{"question" 2}]', "FILE:2: no valid JSON: Expecting ':' delimiter at column 13."),
    ("a.jsonl", b'{"question": "?", "answer": NaN}', "FILE:1: no valid JSON: it has no NaN."),
    (
        "a.jsonl",
        b'{"answer": "a", "question": "?", "answer": "b"}',
        "FILE:1: no valid JSON: the field 'answer' is given",
    ),
    ("a.jsonl", b'{"a":' * 100_000, "FILE:1: no valid JSON: "),
    ("a.jsonl", b"[" * 100_000, "FILE:1: no valid JSON: "),
    ("a.json", b'{"data": [{"question": "?"}]}', "FILE: the file is one object with a list 'data'; write the rows"),
    ("a.json", b'{\n "Data": [{"Question": "?"}]\n}', "FILE: the file is one object with a list 'Data'"),
    ("a.json", b'{\n "question": "?",\n "answer": "a"\n}\n', "FILE: the file is one object over several lines"),
    ("a.json", b'["question"]', "FILE:1: a row must be a JSON object."),
    ("a.jsonl", b"7", "FILE:1: a row must be a JSON object."),
    ("a.jsonl", b" \n", "The dataset 'FILE' is empty."),
    ("a.csv", b"", "The dataset 'FILE' is empty."),
    ("a.csv", b"question,answer\n", "The dataset 'FILE' is empty."),
    ("a.csv", b"question,answer\n?,a\n?\n", "FILE:3: the row has 1 cells, but the header 2."),
    ("a.csv", b'question,answer\n"a\nb",c\n?,a,b\n', "FILE:4: the row has 3 cells, but the header 2."),
    ("a.csv", b"question,answer,answer\n?,a,b\n", "FILE:1: two columns are named 'answer'; rename one."),
    ("a.csv", b'question,answer\n?,"a\n', "FILE:2: unexpected end of data."),
    ("a.csv", b"question,answer\n?,\n", "FILE:2: set either 'answer' or 'answers'."),
    ("a.csv", b"question;answer\n?;a\n", "from its fields: question;answer."),
]


@pytest.mark.parametrize(("name", "content", "sentence"), BROKEN)
def test_a_wrong_file_is_refused_in_one_sentence(name: str, content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EvaluationError) as caught:
        load(str(path))
    assert sentence.replace("FILE", str(path)) in str(caught.value)
    assert len(str(caught.value)) < 700


def test_long_cells_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"question,answer,context\n?,a,{'long ' * 100_000}\n")
    dataset: Dataset = load(str(tmp_path / "a.csv"))
    assert len(dataset.items[0].turns[0]) > 400_000
