"""Rows in the shapes of the published files (with other texts), and the items that they are."""

from typing import Any

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
    "TriviaQA": (TRIVIAQA, "triviaqa", ("tc_2", "", "Seine", ("River Seine", "La Seine"), "exact")),
    "SQuAD": (SQUAD, "qa", ("56be4db0acb8001400a502ec", "", "Madrid", ("in Madrid",), "exact")),
    "CRUXEval": (CRUX, "crux", ("sample_0", "", "[0, 1]", (), "literal")),
    "AlpacaEval": (ALPACA_EVAL, "alpaca_eval", ("1", "helpful_base", None, (), None)),
    "MT-Bench": (MT_BENCH, "mt_bench", ("81", "writing", None, (), None)),
}
