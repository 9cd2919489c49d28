"""Rows in the shapes of the published files (with other texts), and the items that they are."""

from typing import Any

from evaluation.scoring.code import PLACE

GSM8K = {
    "question": "Mina sold 40 cups in May, and half as many in June. How many cups did she sell in all?",
    "answer": "In June she sold 40/2 = <<40/2=20>>20 cups.\nIn all she sold 40+20 = <<40+20=60>>60 cups.\n#### 60",
}
MATH = {
    "problem": "Find $x$ if $2x = 1$.",
    "level": "Level 1",
    "type": "Algebra",
    "solution": "Dividing gives $x = \\boxed{\\frac{1}{2}}$.",
}
MATH_500 = {
    "problem": "Compute $1 - 1$.",
    "solution": "It is $\\boxed{0}$.",
    "answer": "0",
    "subject": "Prealgebra",
    "level": 1,
    "unique_id": "test/prealgebra/1.json",
}
MMLU = {"question": "Find 3 + 4.", "subject": "elementary_mathematics", "choices": ["5", "6", "7", "8"], "answer": 2}
MMLU_PRO = {
    "question_id": 70,
    "question": "Which number is even?",
    "options": ["1", "3", "5", "7", "9", "11", "13", "15", "16", "17"],
    "answer": "I",
    "answer_index": 8,
    "cot_content": "",
    "category": "math",
    "src": "stemez-Math",
}
MMLU_REDUX = {
    "question": "Find 3 + 4.",
    "choices": ["5", "6", "7", "8"],
    "answer": 2,
    "error_type": "ok",
    "source": None,
    "correct_answer": None,
    "potential_reason": None,
}
ARC = {
    "id": "Mercury_SC_415702",
    "question": "Which warms the hands fastest?",
    "choices": {"text": ["dry palms", "wet palms", "oil", "lotion"], "label": ["A", "B", "C", "D"]},
    "answerKey": "A",
}
ARC_FILE = {
    "id": "Mercury_7175875",
    "question": {
        "stem": "Which is a planet?",
        "choices": [{"text": "Mars", "label": "1"}, {"text": "Io", "label": "2"}, {"text": "Ceres", "label": "3"}],
    },
    "answerKey": "2",
}
HOTPOTQA = {
    "id": "5a7a06935542990198eaf050",
    "question": "Which magazine began first, Alpha or Beta?",
    "answer": "Alpha",
    "type": "comparison",
    "level": "medium",
    "supporting_facts": {"title": ["Alpha", "Beta"], "sent_id": [0, 0]},
    "context": {
        "title": ["Alpha", "Beta"],
        "sentences": [["Alpha began in 1844.", " It ended in 1846."], ["Beta began in 1989."]],
    },
}
HOTPOTQA_FILE = {
    "_id": "5a8b57f25542995d1e6f1371",
    "question": "Were both born in Peru?",
    "answer": "yes",
    "supporting_facts": [["Ana", 0]],
    "context": [["Ana", ["Ana was born in Lima."]], ["Ben", ["Ben was born in Cusco."]]],
    "type": "comparison",
    "level": "hard",
}
TRIVIAQA = {
    "question": "Which river flows through Paris?",
    "question_id": "tc_2",
    "question_source": "http://www.triviacountry.com/",
    "entity_pages": {"doc_source": [], "filename": [], "title": [], "wiki_context": []},
    "search_results": {"description": [], "filename": [], "rank": [], "title": [], "url": [], "search_context": []},
    "answer": {
        "aliases": ["Seine", "River Seine", "La Seine"],
        "normalized_aliases": ["seine", "river seine", "la seine"],
        "matched_wiki_entity_name": "",
        "normalized_matched_wiki_entity_name": "",
        "normalized_value": "seine",
        "type": "WikipediaEntity",
        "value": "Seine",
    },
}
SQUAD = {
    "id": "56be4db0acb8001400a502ec",
    "title": "Museums",
    "context": "The Prado is a museum in Madrid.",
    "question": "Where is the Prado?",
    "answers": {"text": ["Madrid", "in Madrid", "Madrid"], "answer_start": [25, 22, 25]},
}
CRUX = {"code": "def f(x):\n    return x + [1]", "input": "[0]", "output": "[0, 1]", "id": "sample_0"}
ALPACA_EVAL = {
    "dataset": "helpful_base",
    "instruction": "Say hello.",
    "output": "Hello!",
    "generator": "text_davinci_003",
}
MT_BENCH = {"question_id": 81, "category": "writing", "turns": ["Write a line.", "Now rhyme."]}
TWO_WIKI = {
    "_id": "8813f87c0bdd11eba7f7acde48001122",
    "type": "compositional",
    "question": "Who is the mother of the director of the film Alpha (1933)?",
    "context": [
        ["Alpha (1933 film)", ["Alpha is a film.", " Ana Beta made it."]],
        ["Ana Beta", ["Her mother is Eva."]],
    ],
    "entity_ids": "Q7320430_Q51759",
    "supporting_facts": [["Alpha (1933 film)", 1], ["Ana Beta", 0]],
    "evidences": [["Alpha", "director", "Ana Beta"], ["Ana Beta", "mother", "Eva"]],
    "answer": "Eva",
    "evidences_id": [["Q1", "director", "Q2"], ["Q2", "mother", "Q3"]],
    "answer_id": "Q3",
}
FID = {
    "id": "0",
    "question": "Which element is named after Poland?",
    "target": "Polonium",
    "answers": ["Polonium", "Po (chemical element)", "Po"],
    "ctxs": [
        {"id": "wiki:1", "title": "Polonium", "text": "It is named after Poland.", "score": "82.1", "has_answer": True},
        {"id": "wiki:2", "title": "Radium", "text": "It shines.", "score": "80.3", "has_answer": False},
    ],
}
CRAG = {
    "interaction_id": "d0a5f2c8-1c1c-4f9a-8a2b-3b1b7c1d2e3f",
    "query_time": "03/17/2024, 16:02:55 PT",
    "domain": "music",
    "question_type": "false_premise",
    "static_or_dynamic": "static",
    "query": "when did the band alpha win the nobel prize?",
    "answer": "invalid question",
    "alt_ans": [],
    "split": 0,
    "popularity": "torso",
    "search_results": [
        {
            "page_name": "Alpha (band)",
            "page_url": "https://example.org/alpha",
            "page_snippet": "Alpha is a band.",
            "page_result": "<!DOCTYPE html><html></html>",
            "page_last_modified": "2024-02-15T00:00:00Z",
        }
    ],
}
HUMAN_EVAL = {
    "task_id": "HumanEval/900",
    "prompt": (
        "from typing import List\n\n\ndef total(numbers: List[int]) -> int:\n"
        '    """ Sum.\n    >>> total([1, 2])\n    3\n    """\n'
    ),
    "entry_point": "total",
    "canonical_solution": "    return sum(numbers)\n",
    "test": (
        "\n\nMETADATA = {'author': 'x', 'dataset': 'test'}\n\n\n"
        "def check(candidate):\n    assert candidate([1, 2]) == 3\n"
    ),
}
MBPP = {
    "text": "Write a python function to remove the first occurrence of a character from a string.",
    "code": "def remove_first(s, c):\r\n    return s.replace(c, '', 1)",
    "task_id": 11,
    "test_setup_code": "",
    "test_list": ["assert remove_first('hello','l') == 'helo'", "assert remove_first('abab','a') == 'bab'"],
    "challenge_test_list": ["assert remove_first('x','x') == ''"],
}
MBPP_SANITIZED = {
    "source_file": "Benchmark Questions Verification V2.ipynb",
    "task_id": 2,
    "prompt": "Write a function to find the square root of a number.",
    "code": "import math\ndef root(x):\n  return math.sqrt(x)",
    "test_imports": ["import math"],
    "test_list": ["assert math.isclose(root(2), 1.41421356, rel_tol=0.001)"],
}
FLASK = {
    "idx": 3,
    "instruction": "Correct the sentence.\nInput: She go home.",
    "answer": "She goes home.",
    "task": "Self-instruct",
    "skill": ["Comprehension", "Conciseness", "Readability"],
    "domain": ["Language"],
    "difficulty": "formal education knowledge",
}
FLASK_FIRST_RELEASE = {
    "question_id": 1,
    "text": "Make this shorter.",
    "task": "Self-instruct",
    "answer": "Short.",
    "domain_review": "Humanities",
    "domain_labeled": ["Humanities"],
    "total_tokens_step2": 535,
    "metric_explanation": "3: readable",
    "num_skills": 2,
    "metrics": ["Readability", "Logical Correctness"],
    "total_tokens": 749,
    "difficulty_review": "Major level knowledge",
    "difficulty_labeled": "major level knowledge",
}

# Row, its kind, and of its item: id, skill, answer, further answers, scorer.
PUBLISHED: dict[str, tuple[dict[str, Any], str, tuple[Any, ...]]] = {
    "GSM8K": (GSM8K, "gsm8k", ("1", "", "60", (), "number")),
    "MATH": (MATH, "math", ("1", "Algebra", "\\frac{1}{2}", (), "boxed")),
    "MATH-500": (MATH_500, "math", ("test/prealgebra/1.json", "Prealgebra", "0", (), "boxed")),
    "MMLU": (MMLU, "mmlu", ("1", "elementary_mathematics", "C", (), "choice")),
    "MMLU-Pro": (MMLU_PRO, "mmlu_pro", ("70", "math", "I", (), "choice")),
    "MMLU-Redux": (MMLU_REDUX, "mmlu_redux", ("1", "", "C", (), "choice")),
    "ARC": (ARC, "arc", ("Mercury_SC_415702", "", "A", (), "choice")),
    "ARC's files": (ARC_FILE, "arc", ("Mercury_7175875", "", "B", (), "choice")),
    "HotpotQA": (HOTPOTQA, "hotpotqa", ("5a7a06935542990198eaf050", "comparison", "Alpha", (), "exact")),
    "HotpotQA's files": (HOTPOTQA_FILE, "hotpotqa", ("5a8b57f25542995d1e6f1371", "comparison", "yes", (), "exact")),
    "2WikiMultihopQA": (
        TWO_WIKI,
        "2wikimultihopqa",
        ("8813f87c0bdd11eba7f7acde48001122", "compositional", "Eva", (), "exact"),
    ),
    "FiD": (FID, "passages", ("0", "", "Polonium", ("Po (chemical element)", "Po"), "exact")),
    "CRAG": (
        CRAG,
        "crag",
        ("d0a5f2c8-1c1c-4f9a-8a2b-3b1b7c1d2e3f", "false_premise", "invalid question", (), "exact"),
    ),
    "HumanEval": (
        HUMAN_EVAL,
        "humaneval",
        (
            "HumanEval/900",
            "",
            f"{str(HUMAN_EVAL['prompt']).rstrip()}\n{PLACE}\n\n{str(HUMAN_EVAL['test']).rstrip()}\n\ncheck(total)\n",
            (),
            "code",
        ),
    ),
    "MBPP": (MBPP, "mbpp", ("11", "", "\n".join(MBPP["test_list"]), (), "code")),
    "MBPP, sanitized": (
        MBPP_SANITIZED,
        "mbpp",
        ("2", "", "import math\nassert math.isclose(root(2), 1.41421356, rel_tol=0.001)", (), "code"),
    ),
    "TriviaQA": (TRIVIAQA, "triviaqa", ("tc_2", "", "Seine", ("River Seine", "La Seine"), "exact")),
    "SQuAD": (SQUAD, "qa", ("56be4db0acb8001400a502ec", "", "Madrid", ("in Madrid",), "exact")),
    "CRUXEval": (CRUX, "crux", ("sample_0", "", "[0, 1]", (), "literal")),
    "AlpacaEval": (ALPACA_EVAL, "alpaca_eval", ("1", "helpful_base", None, (), None)),
    "FLASK": (FLASK, "flask", ("3", "formal education knowledge", None, (), None)),
    "FLASK's first release": (FLASK_FIRST_RELEASE, "flask", ("1", "major level knowledge", None, (), None)),
    "MT-Bench": (MT_BENCH, "mt_bench", ("81", "writing", None, (), None)),
}
