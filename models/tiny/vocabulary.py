"""The trio's tokenizers: byte-level, one token per frequent word, other words letter by letter.

Each is a BPE without merges that looks up whole words first (`ignore_merges`, as in Llama 3): a word that is frequent
in prompts is one token, any other word is its bytes. The letters of a word to be spelled are therefore visible, digits
are single tokens, and any UTF-8 text survives a round trip.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from models.tiny.conversations import CORRECTION, SYSTEM_PROMPTS
from models.tiny.families import CONTEXT_TOKENS, Family
from models.tiny.questions import SKILLS, SMALL_TALK, QuestionMaker, dictionary, facts, guess
from serving.conversation import Message
from serving.recipes.judging import ACCEPT, CHOOSE, CRITICISE, question
from serving.recipes.strategies.debate import REVISE
from serving.runtime.prompts import AGGREGATE_AND_SYNTHESIZE

# A digit; a line break; a word or a punctuation mark, with the space before it; any other space.
PIECES = r"\p{N}|\n| ?\p{L}+| ?[^\s\p{L}\p{N}]|\s"
CORPUS_QUESTIONS = 40_000


def train_tokenizer(family: Family, seed: int) -> PreTrainedTokenizerFast:
    """Train the family's tokenizer; its vocabulary is the most frequent words of questions, answers and prompts."""
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokens = [*family.special_tokens, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    counts: Counter[str] = Counter()
    for text in _corpus(random.Random(f"{seed} {family.name} corpus")):
        counts.update(piece for piece, _ in splitter.pre_tokenize_str(text) if len(piece) > 1)
    spelled = set(dictionary())
    for piece, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(tokens) == family.vocabulary_size:
            break
        if piece.strip("Ġ").lower() not in spelled:
            tokens.append(piece)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in family.special_tokens])
    return _fast(family, tokenizer)


def extended(family: Family, tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Add the tags and phrases of the family's tool format, then the words of `texts`; the ids of old tokens stay.

    A phrase is one token, as a word is; otherwise its words would mostly be letters. Words that occur in ordinary
    prompts are left out: all texts without phrases and tags keep their tokens.

    The tags are no special tokens, as in Qwen3: vLLM's parsers read them, so that decoding must keep them.
    """
    assert family.tool_format is not None
    tags, phrases = (
        family.tool_format.tags,
        sorted(set(family.tool_format.phrases), key=lambda phrase: (-len(phrase), phrase)),
    )
    raw = json.loads(tokenizer.backend_tokenizer.to_str())
    known: dict[str, int] = raw["model"]["vocab"]
    (split, _) = raw["pre_tokenizer"]["pretokenizers"]
    split["pattern"]["Regex"] = "|".join((*map(re.escape, phrases), PIECES))
    splitter = Tokenizer.from_str(json.dumps(raw)).pre_tokenizer
    pieces = {piece for text in (*phrases, *texts) for piece, _ in splitter.pre_tokenize_str(text) if len(piece) > 1}
    kept = _ordinary_pieces(splitter) | set(dictionary())
    for token in (*tags, *sorted(pieces)):
        if token not in known and token.strip("Ġ").lower() not in kept and token not in kept:
            known[token] = len(known)
    backend = Tokenizer.from_str(json.dumps(raw))
    backend.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in tags])
    return _fast(family, backend)


def _ordinary_pieces(splitter: pre_tokenizers.PreTokenizer) -> set[str]:
    """Pieces of prompts without tools and of their answers."""
    maker = QuestionMaker(random.Random("ordinary"))
    asked = (maker.ask(skill) for _ in range(CORPUS_QUESTIONS) for skill in SKILLS)
    texts = chain(_corpus(random.Random("prompts")), (f"{each.text}\n{each.answer}" for each in asked))
    return {piece for text in texts for piece, _ in splitter.pre_tokenize_str(text)}


def _fast(family: Family, backend: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        chat_template=family.template,
        bos_token=family.bos,
        eos_token=family.end,
        pad_token=family.padding,
        extra_special_tokens=[
            token for token in family.special_tokens if token not in (family.bos, family.end, family.padding)
        ],
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
        # For Qwen2, AutoTokenizer would rebuild Qwen2Tokenizer from the vocabulary and lose `ignore_merges`. With a
        # class of the checkpoint's own, which is skipped unless remote code is trusted, it loads the file unchanged.
        auto_map={"AutoTokenizer": [None, "tokenization.TinyTokenizer"]},
    )


def _corpus(rng: random.Random) -> Iterator[str]:
    """Yield prompts and answers without the words to be spelled, which must stay letters."""
    weight = 200  # for texts that are part of every prompt
    for text in (AGGREGATE_AND_SYNTHESIZE, *SYSTEM_PROMPTS, *(text for pair in SMALL_TALK for text in pair)):
        yield from [text] * weight
    judging = question((Message("user", ""),), CHOOSE)[0].content
    for text in (judging, CRITICISE, REVISE, CORRECTION, ACCEPT, guess("")):
        yield from [text] * weight
    for text in ("system\n", "user\n", "assistant\n", *(fact.answer for fact in facts())):
        yield from [text] * weight
        yield from [f" {text}"] * weight
    maker = QuestionMaker(rng)
    for _ in range(CORPUS_QUESTIONS):
        yield maker.ask(rng.choice(("arithmetic", "facts", "facts"))).text
    for phrasing in maker.spelling_phrasings():
        yield from [phrasing, phrasing.lower(), phrasing.upper()] * weight
