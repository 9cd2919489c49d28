"""Kinds: published rows, the recognition of a file, and rows that are refused by file, line and field."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evaluation.datasets.base import DatasetRow
from evaluation.datasets.kinds import CLASSES
from evaluation.datasets.loading import Dataset, load
from evaluation.errors import EvaluationError
from evaluation.items import Item
from tests.support import dataset_rows as rows
from tests.support.dataset_rows import PUBLISHED


def loaded(folder: Path, *given: Mapping[str, Any], **options: Any) -> Dataset:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    return load(str(path), **options)


def only(folder: Path, row: Mapping[str, Any], **options: Any) -> Item:
    (item,) = loaded(folder, row, **options).items
    return item


def refused(folder: Path, *given: Mapping[str, Any], **options: Any) -> str:
    with pytest.raises(EvaluationError) as caught:
        loaded(folder, *given, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "mine.jsonl" in sentence
    return sentence


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_row_is_recognized_and_read(name: str, tmp_path: Path) -> None:
    row, kind, expected = PUBLISHED[name]
    dataset = loaded(tmp_path, row)
    (item,) = dataset.items
    assert dataset.kind == kind
    assert (item.id, item.skill, item.answer, item.accepted, item.scorer) == expected
    assert dataset.notes == []
    assert loaded(tmp_path, row, kind=kind).items == dataset.items


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.kind)
def test_the_documented_example_of_a_kind_is_recognized(kind: type[DatasetRow], tmp_path: Path) -> None:
    dataset = loaded(tmp_path, kind.example)
    assert (dataset.kind, dataset.notes, len(dataset.items)) == (kind.kind, [], 1)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.kind)
def test_every_field_of_a_kind_is_described(kind: type[DatasetRow]) -> None:
    assert all(field.description for field in kind.model_fields.values())


# -- recognition: no doubt, no guess --------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["Paris", "Arthur's Magazine", "three", "yes"])
def test_a_question_with_a_text_is_no_word_problem(answer: str, tmp_path: Path) -> None:
    dataset = loaded(tmp_path, {"question": "?", "answer": answer})
    assert (dataset.kind, dataset.items[0].scorer, dataset.items[0].answer) == ("qa", "exact", answer)


def test_number_answers_fit_two_kinds_of_which_one_is_chosen(tmp_path: Path) -> None:
    row = {"question": "In which year?", "answer": "1912"}
    assert "fit the kinds qa and gsm8k; choose one with '--kind'" in refused(tmp_path, row)
    assert only(tmp_path, row, kind="gsm8k").scorer == "number"
    assert only(tmp_path, row, kind="qa").scorer == "exact"
    assert only(tmp_path, {**row, "answer": 1912}, kind="gsm8k").answer == "1912"


def test_further_rows_settle_what_the_first_leaves_open(tmp_path: Path) -> None:
    number, text, worked = ({"question": "?", "answer": answer} for answer in ("7", "Paris", "3 + 4\n#### 7"))
    assert loaded(tmp_path, number, text).kind == "qa"
    assert loaded(tmp_path, number, worked).kind == "gsm8k"


def test_a_word_problem_without_a_number_is_refused(tmp_path: Path) -> None:
    sentence = refused(tmp_path, rows.GSM8K, {"question": "?", "answer": "Paris"})
    assert sentence.startswith(f"{tmp_path}/mine.jsonl:2: 'answer' has no number")
    assert "'answer' has no number" in refused(tmp_path, {"question": "?", "answer": "#### many"}, kind="gsm8k")


def test_rows_of_two_kinds_in_one_file_are_refused(tmp_path: Path) -> None:
    sentence = refused(tmp_path, {"question": "?", "answer": "Paris"}, rows.GSM8K)
    assert ":2: the rows before fit the kind 'qa', this one does not" in sentence


def test_fields_of_no_kind_are_refused_with_all_kinds(tmp_path: Path) -> None:
    sentence = refused(tmp_path, {"question": "?", "answer": "Paris", "evidence": "..."})
    assert "from its fields: answer, evidence, question." in sentence
    for name in ("qa", "gsm8k", "hotpotqa", "module:Class", "docs/evaluation.md"):
        assert name in sentence
    dataset = loaded(tmp_path, {"question": "?", "answer": "Paris", "evidence": "..."}, kind="qa")
    assert dataset.notes == [f"{tmp_path}/mine.jsonl: the kind 'qa' does not use the fields: evidence."]


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        ({**rows.MMLU, "options": ["a", "b"]}, "mmlu and mmlu_pro"),
        ({**rows.MMLU, "answerKey": "A"}, "mmlu and arc"),
        ({**rows.MATH, "instruction": "Solve it."}, "math and alpaca_eval"),
        ({**rows.CRUX, "instruction": "Run it."}, "crux and alpaca_eval"),
        ({**rows.HOTPOTQA, "choices": ["Alpha", "Beta"]}, "mmlu and hotpotqa"),
    ],
)
def test_fields_of_two_kinds_are_refused(row: dict[str, Any], kinds: str, tmp_path: Path) -> None:
    assert f"fit the kinds {kinds}; choose one with '--kind'" in refused(tmp_path, row)


def test_a_file_without_a_header_is_refused_briefly(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(f'"{"How long? " * 50}",1,2,3,4,A\n' * 2)
    with pytest.raises(EvaluationError, match="from its fields: 1, 2, 3, 4, A, How long") as caught:
        load(str(tmp_path / "mine.csv"))
    assert len(str(caught.value)) < 500
    with pytest.raises(EvaluationError, match=r"Cannot read the dataset 'aaa.*File name too long"):
        load("a" * 5000)


def test_an_unknown_kind_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"Unknown dataset kind 'hotpot': did you mean 'hotpotqa'\?"):
        load("tiny", kind="hotpot")
    with pytest.raises(EvaluationError, match="has the kind 'tiny'; remove '--kind qa'"):
        load("tiny", kind="qa")
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "?", "answer": "!"}))
    with pytest.raises(EvaluationError, match="has the kind 'qa'; remove '--kind gsm8k'"):
        load(f"qa={tmp_path}/a.jsonl", kind="gsm8k")


# -- what the model sees --------------------------------------------------------------------------------------


def test_the_context_is_given_to_the_model(tmp_path: Path) -> None:
    (turn,) = only(tmp_path, rows.HOTPOTQA).turns
    assert "Alpha: Alpha began in 1844. It ended in 1846.\n\nBeta: Beta began in 1989." in turn
    assert "Ben was born in Cusco." in only(tmp_path, rows.HOTPOTQA_FILE).turns[0]
    assert "The Prado is a museum in Madrid." in only(tmp_path, rows.SQUAD).turns[0]
    parts = {"question": "?", "answer": "a", "context": ["One.", "Two."]}
    assert "Context:\nOne.\n\nTwo.\n\nQuestion: ?" in only(tmp_path, parts).turns[0]
    assert only(tmp_path, {"question": "Who?", "answer": "a"}).turns[0].startswith("Who?\n")


@pytest.mark.parametrize(
    "choices",
    [
        ["x", "y"],
        '["x", "y"]',
        "['x', 'y']",
        {"A": "x", "B": "y"},
        {"text": ["x", "y"], "label": ["A", "B"]},
    ],
)
def test_choices_as_a_list_a_text_or_an_object(choices: object, tmp_path: Path) -> None:
    item = only(tmp_path, {"question": "Which?", "choices": choices, "answer": "B"})
    assert "Which?\n\nA. x\nB. y\n" in item.turns[0]
    assert item.answer == "B"


def test_choices_in_columns(tmp_path: Path) -> None:
    item = only(tmp_path, {"question": "Which?", "A": "x", "B": "y", "answer": "B"})
    assert "A. x\nB. y\n" in item.turns[0]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [(0, "A"), (2, "C"), ("b", "B"), ("(C)", "C"), ("1", "B"), ("red", "A"), (" blue ", "C")],
)
def test_the_right_choice_as_index_letter_or_text(answer: object, letter: str, tmp_path: Path) -> None:
    assert only(tmp_path, {**rows.MMLU, "choices": ["red", "green", "blue"], "answer": answer}).answer == letter


def test_older_files_of_mmlu_pro_are_padded(tmp_path: Path) -> None:
    row = {**rows.MMLU_PRO, "options": ["1", "2", "N/A", "N/A"], "answer": "B", "answer_index": 1}
    assert "N/A" not in only(tmp_path, row).turns[0]
    assert "C. N/A" in only(tmp_path, {**row, "answer": "C", "answer_index": 2}).turns[0]


def test_letters_replace_the_labels_of_arc(tmp_path: Path) -> None:
    item = only(tmp_path, rows.ARC_FILE)
    assert "Which is a planet?\n\nA. Mars\nB. Io\nC. Ceres\n" in item.turns[0]


# -- answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"error_type": "wrong_groundtruth", "correct_answer": "1"}, ("B",)),
        ({"error_type": "wrong_groundtruth", "correct_answer": "D"}, ("D",)),
        ({"error_type": "wrong_groundtruth", "correct_answer": 0}, ("A",)),
        ({"error_type": "multiple_correct_answers", "correct_answer": "(A, C)"}, ("A", "C")),
        ({"error_type": "multiple_correct_answers", "correct_answer": "1 and 3"}, ("B", "D")),
    ],
)
def test_corrected_answers_of_mmlu_redux_count(changes: dict[str, Any], right: tuple[str, ...], tmp_path: Path) -> None:
    item = only(tmp_path, {**rows.MMLU_REDUX, **changes})
    assert (item.answer, *item.accepted) == right


def test_rows_that_mmlu_redux_marks_as_unusable_are_left_out_and_counted(tmp_path: Path) -> None:
    marked = [
        {"error_type": "bad_question_clarity"},
        {"error_type": "bad_question_clarity"},
        {"error_type": "no_correct_answer", "correct_answer": "9"},
        {"error_type": "wrong_groundtruth"},
        {"error_type": "wrong_groundtruth", "correct_answer": "4"},
    ]
    dataset = loaded(tmp_path, *({**rows.MMLU_REDUX, **changes} for changes in marked), rows.MMLU_REDUX)
    assert [item.id for item in dataset.items] == ["6"]
    assert dataset.notes == [
        f"{tmp_path}/mine.jsonl: left out 5 of 6 rows: 2 bad_question_clarity, 1 no_correct_answer,"
        " 2 wrong_groundtruth without a usable correct_answer."
    ]
    assert "no usable rows: bad_question_clarity" in refused(tmp_path, {**rows.MMLU_REDUX, **marked[0]})


def test_questions_of_squad_without_an_answer_are_left_out(tmp_path: Path) -> None:
    nothing = {**rows.SQUAD, "id": "x", "answers": {"text": [], "answer_start": []}}
    dataset = loaded(tmp_path, rows.SQUAD, nothing)
    assert len(dataset.items) == 1
    assert dataset.left_out == {"without an answer": 1}


@pytest.mark.parametrize("answer", [0, "0", 0.0])
def test_zero_is_an_answer_of_math(answer: object, tmp_path: Path) -> None:
    row = {"problem": "1 - 1?", "answer": answer, "solution": "\\boxed{7}"}
    assert float(str(only(tmp_path, row).answer)) == 0


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({"answer": "a"}, ("a",)),
        ({"answer": ["a", "b", "a"]}, ("a", "b")),
        ({"answers": ["a", "b"]}, ("a", "b")),
        ({"answers": '["a", "b"]'}, ("a", "b")),
        ({"answer": ["7", 8]}, ("7", "8")),
    ],
)
def test_several_accepted_answers(given: dict[str, Any], right: tuple[str, ...], tmp_path: Path) -> None:
    item = only(tmp_path, {"question": "?", **given})
    assert (item.answer, *item.accepted) == right


# -- refused rows ---------------------------------------------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (rows.GSM8K, {"question": None}, "Set 'question' to a string, not null."),
    (rows.GSM8K, {"question": " "}, "Change 'question': it is empty."),
    (rows.GSM8K, {"question": "\ud83d!"}, "Change 'question': it has half a character (\\ud83d"),
    (rows.SQUAD, {"question": None}, "Set 'question' to a string, not null."),
    (rows.SQUAD, {"answers": "Madrid"}, "Change 'answers': it is a text, not a list"),
    (rows.SQUAD, {"answers": {"text": ["\udc00"]}}, "Change 'answers': it has half a character"),
    (rows.SQUAD, {"context": 3}, "Set 'context' to a string, not a number."),
    (rows.SQUAD, {"scorer": "fuzzy"}, "Change 'scorer': there is no scorer 'fuzzy'; choose one of exact"),
    (rows.MMLU, {"answer": "BC"}, "'answer' is 'BC', which is none of the letters A to D, no index and no choice."),
    (rows.MMLU, {"answer": ""}, "'answer' is '', which is none of the letters A to D"),
    (rows.MMLU, {"answer": 4}, "'answer' is 4, but the choices have the indices 0 to 3."),
    (rows.MMLU, {"answer": -1}, "'answer' is -1"),
    (rows.MMLU, {"answer": True}, "Set 'answer' to an integer or a string, not true."),
    (rows.MMLU, {"answer": None}, "not null."),
    (rows.MMLU, {"answer": "E"}, "'answer' is 'E'"),
    (rows.MMLU, {"choices": ["2", "3", "1"], "answer": "2"}, "'2', which means several choices"),
    (rows.MMLU, {"choices": ["x", "x"], "answer": "x"}, "'x', which means several choices"),
    (rows.MMLU, {"choices": "red, green"}, "Change 'choices': it is a text, not a list"),
    (rows.MMLU, {"choices": "['0' '4' '2']"}, "Change 'choices': commas are missing between its texts"),
    (rows.MMLU, {"choices": {"A": "x", "C": "y"}}, "Change 'choices': an object of choices has the letters"),
    (rows.MMLU, {"choices": [str(n) for n in range(11)]}, "Give 'choices' at most 10 entries."),
    (rows.MMLU, {"choices": None}, "Set 'choices' to a list, not null."),
    (rows.MMLU, {"choices": ["a", None]}, "Set 'choices[1]' to a string, not null."),
    (rows.MMLU_PRO, {"answer_index": 3}, "'answer' is 'I', but 'answer_index' is 3."),
    (rows.MMLU_REDUX, {"answer": 9}, "'answer' is 9"),
    (rows.ARC, {"answerKey": "E"}, "'answerKey' is 'E', but the labels are: A, B, C, D."),
    (rows.ARC, {"answerKey": ""}, "Change 'answerKey': it is empty."),
    (rows.ARC, {"choices": {"text": ["a", "b"], "label": ["A"]}}, "'choices' has 2 texts, but 1 labels."),
    (rows.HOTPOTQA, {"context": "a text"}, "Set 'context' to an object, not a string."),
    (rows.HOTPOTQA, {"context": {"title": ["a"], "sentences": []}}, "1 titles, but 0 lists of sentences."),
    (rows.HOTPOTQA, {"answer": None}, "Set 'answer' to a string, not null."),
    (rows.TRIVIAQA, {"answer": {"value": "<unk>", "aliases": []}}, "not published for this split"),
    (rows.MATH, {"solution": "It is one half."}, "neither 'answer' nor a '\\boxed{}'"),
    (rows.MATH_500, {"answer": True}, "Set 'answer' to a string, not true."),
    (rows.CRUX, {"output": [0, 1]}, "Set 'output' to a string, not a list."),
    (rows.ALPACA_EVAL, {"output": ["Hello!"]}, "Set 'output' to a string, not a list."),
    (rows.ALPACA_EVAL, {"instruction": None}, "Set 'instruction' to a string, not null."),
    (rows.ALPACA_EVAL, {"instruction_difficulty": "hard"}, "Set 'instruction_difficulty' to a number"),
    (rows.MT_BENCH, {"turns": "Write a line."}, "Set 'turns' to a list, not a string."),
    (rows.MT_BENCH, {"turns": []}, "Give 'turns' at least 1 entry."),
    (rows.MT_BENCH, {"turns": ["Write.", ""]}, "Change 'turns[1]': it is empty."),
    (rows.MT_BENCH, {"reference": ["a", "b", "c"]}, "'reference' has 3 entries, but 'turns' 2."),
]


@pytest.mark.parametrize(("row", "changes", "sentence"), REFUSED)
def test_a_wrong_row_is_refused_by_file_line_and_field(
    row: dict[str, Any], changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    """Before any question is asked, and also in a later row."""
    named = {name: f"{value}-2" for name, value in row.items() if name in ("id", "_id", "unique_id", "question_id")}
    found = refused(tmp_path, row, {**row, **named, **changes})
    assert found.startswith(f"{tmp_path}/mine.jsonl:2: ")
    assert sentence in found


# -- kinds and scorers of one's own ---------------------------------------------------------------------------

OWN = '''
"""A kind and a scorer."""

from pydantic import Field

from evaluation.datasets.base import DatasetRow
from evaluation.items import Item


class Riddle(DatasetRow):
    """Riddles."""

    kind = "riddle"
    riddle: str = Field(description="the riddle")
    word: str = Field(description="its solution")

    def item(self, number):
        if self.word == "crash":
            raise KeyError("crash")
        return Item("riddle", str(number), "", (f"Riddle: {self.riddle}",), self.word, "own_kinds:FirstLetter")


class NoItem(DatasetRow):
    pass


class FirstLetter:
    """Half a point for the first letter."""

    def extract(self, text):
        return text.strip() or None

    def same(self, extracted, reference):
        return 1.0 if extracted == reference else 0.5 * (extracted[0] == reference[0])
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_kinds.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_kind_and_a_scorer_of_ones_own(own: Path) -> None:
    from evaluation.scoring import score

    item = only(own, {"riddle": "What has keys?", "word": "piano"}, kind="own_kinds:Riddle")
    assert item.turns == ("Riddle: What has keys?",)
    assert load(f"own_kinds:Riddle={own}/mine.jsonl").items == (item,)
    assert [score(item.scorer or "", text, "piano").score for text in ("piano", "pear", "apple")] == [1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("kind", "row", "sentence"),
    [
        ("own_kinds:Riddle", {"riddle": "?"}, "mine.jsonl:1: Set 'word': it is required."),
        ("own_kinds:Riddle", {"riddle": "?", "word": "crash"}, "mine.jsonl:1: KeyError: 'crash'."),
        ("own_kinds:Riddles", {}, "kind 'own_kinds:Riddles' cannot be imported: AttributeError"),
        ("nowhere:Riddle", {}, "kind 'nowhere:Riddle' cannot be imported: ModuleNotFoundError"),
        ("own_kinds:FirstLetter", {}, "is not a subclass of evaluation.datasets.base.DatasetRow."),
        ("own_kinds:NoItem", {}, "lacks the method 'item'."),
    ],
)
def test_a_wrong_kind_of_ones_own_is_one_sentence(kind: str, row: dict[str, Any], sentence: str, own: Path) -> None:
    with pytest.raises(EvaluationError) as caught:
        only(own, row, kind=kind)
    assert sentence in str(caught.value)


def test_a_scorer_for_a_whole_file(tmp_path: Path) -> None:
    assert only(tmp_path, rows.HOTPOTQA, scorer="f1").scorer == "f1"
    assert only(tmp_path, rows.HOTPOTQA).scorer == "exact"
    with pytest.raises(EvaluationError, match="no right answers for a scorer; remove '--scorer'"):
        only(tmp_path, rows.ALPACA_EVAL, scorer="f1")
    with pytest.raises(EvaluationError, match="There is no scorer 'bleu'; choose one of exact, contains, f1"):
        only(tmp_path, rows.HOTPOTQA, scorer="bleu")


def test_a_run_is_not_resumed_with_another_kind_or_scorer(tmp_path: Path) -> None:
    row = {"question": "?", "answer": "7"}
    settings = [loaded(tmp_path, row, kind=kind).settings for kind in ("qa", "gsm8k")]
    settings.append(loaded(tmp_path, row, kind="qa", scorer="f1").settings)
    assert len({json.dumps(one, sort_keys=True) for one in settings}) == 3


def test_lists_in_cells_are_not_taken_for_texts(tmp_path: Path) -> None:
    """An answer '["Madrid"]' would make every answer wrong, and Python joins 'a' 'b' of a NumPy array into one text."""
    assert "name the field 'answers'" in refused(tmp_path, {"question": "?", "answer": '["Madrid", "Madrid, Spain"]'})
    assert "commas are missing" in refused(tmp_path, {"question": "?", "answers": "['Madrid'\n 'Madrid, Spain']"})
    quoted = only(tmp_path, {"question": "?", "answers": """["say 'a' 'b'", 'c']"""})
    assert (quoted.answer, quoted.accepted) == ("say 'a' 'b'", ("c",))


# -- programs, passages and skills ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "changes", "sentence"),
    [
        (rows.HUMAN_EVAL, {"entry_point": "sum"}, "'prompt' does not begin the function 'sum' of 'entry_point'"),
        (rows.HUMAN_EVAL, {"entry_point": "a b"}, "'entry_point' is 'a b', which is no name of a function"),
        (rows.HUMAN_EVAL, {"test": "assert total([]) == 0"}, "'test' does not define 'check(candidate)'"),
        (rows.HUMAN_EVAL, {"prompt": None}, "Set 'prompt' to a string, not null."),
        (rows.MBPP, {"test_list": []}, "'test_list'"),
        (rows.MBPP, {"test_list": "assert True"}, 'it is a text, not a list such as ["a", "b"]'),
        (rows.MBPP, {"text": ""}, "'prompt': it is empty"),
        (rows.TWO_WIKI, {"answer": None}, "Set 'answer' to a string, not null."),
        (rows.TWO_WIKI, {"context": [["Alpha"]]}, "'context'"),
        (rows.FID, {"answers": []}, "'answers'"),
        (rows.FID, {"ctxs": [{"title": "a"}]}, "'ctxs[0].text'"),
        (rows.FID, {"ctxs": None}, "Set 'ctxs' to a list, not null."),
        (rows.CRAG, {"answer": ""}, "'answer': it is empty"),
        (rows.CRAG, {"search_results": "none"}, "it is a text, not a list"),
        (rows.FLASK, {"skill": ["Factualty"]}, "there is no skill 'Factualty': did you mean 'Factuality'? they are"),
        (rows.FLASK, {"skill": []}, "'skill'"),
        (rows.FLASK, {"skill": ["Factuality"] * 2}, "'skill' has a skill twice"),
    ],
)
def test_a_wrong_row_is_refused_by_its_field(
    row: dict[str, Any], changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    kind = next(kind for _, (published, kind, _) in PUBLISHED.items() if published is row)
    said = refused(tmp_path, {**row, **changes}, kind=kind)
    assert "mine.jsonl:1: " in said
    assert sentence in said


def test_retrieved_passages_are_shown_in_their_order(tmp_path: Path) -> None:
    turn = only(tmp_path, rows.FID).turns[0]
    assert turn.startswith("Context:\nPolonium: It is named after Poland.\n\nRadium: It shines.\n\nQuestion: Which")
    assert only(tmp_path, {**rows.FID, "ctxs": []}).turns[0].startswith("Which element")


def test_search_results_are_their_snippets_and_the_time_is_told(tmp_path: Path) -> None:
    page = {"page_name": "Empty", "page_snippet": " ", "page_result": "<p>secret</p>"}
    item = only(tmp_path, {**rows.CRAG, "search_results": [*rows.CRAG["search_results"], page]})
    assert "Alpha (band): Alpha is a band." in item.turns[0]
    assert "secret" not in item.turns[0]
    assert "Empty" not in item.turns[0]
    assert "(asked on 03/17/2024, 16:02:55 PT)" in item.turns[0]
    assert "answer 'invalid question'" in item.turns[0]
    accepted = only(tmp_path, {**rows.CRAG, "answer": 7, "alt_ans": [7, "seven"]})
    assert (accepted.answer, accepted.accepted) == ("7", ("seven",))


def test_skills_of_flask_are_the_criteria_of_the_judge(tmp_path: Path) -> None:
    item = only(tmp_path, rows.FLASK)
    assert item.criteria == ("Comprehension", "Conciseness", "Readability")
    assert item.references == ("She goes home.",)
    assert only(tmp_path, {**rows.FLASK, "difficulty": -1}).skill == ""


def test_rows_of_hotpotqa_and_2wikimultihopqa_are_told_apart(tmp_path: Path) -> None:
    assert loaded(tmp_path, rows.TWO_WIKI).kind == "2wikimultihopqa"
    without = {name: value for name, value in rows.TWO_WIKI.items() if name != "evidences"}
    assert loaded(tmp_path, {**without, "entity_ids": "Q1_Q2"}).kind == "2wikimultihopqa"
    assert loaded(tmp_path, rows.HOTPOTQA_FILE).kind == "hotpotqa"
