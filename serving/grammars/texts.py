"""Grammars in EBNF or in Lark's notation: the repetitions of their parts."""

import re

# Texts, character classes and comments, in which braces are characters.
QUOTED = re.compile(r'"(?:\\.|[^"\\\n])*"|\[(?:\\.|[^\]\\\n])*\]|/(?:\\.|[^/\\\n])+/|(?:#|//)[^\n]*')
RULE = re.compile(r"^[ \t]*[?!]?([A-Za-z_][\w.-]*)[ \t]*(?:::=|:)", re.MULTILINE)
BOUND = re.compile(r"(\)?)\s*(?:\{\s*(\d{1,9})\s*(?:,\s*(\d{0,9})\s*)?\}|~\s*(\d{1,9})(?:\s*\.\.\s*(\d{1,9}))?)")
NAME = re.compile(r"[A-Za-z_][\w-]*")
MANY = 10**9


def grammar_repetition(text: str) -> int:
    """Largest number of repetitions of a part of a grammar; those of rules within rules are multiplied.

    It is an upper bound: within one rule all repeated groups count as if they were within each other, and the largest
    repetition of the rule as if it were one of all rules that it names.
    """
    plain = QUOTED.sub(" '' ", text)
    starts = [*RULE.finditer(plain)]
    bodies: dict[str, str] = {}
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        end = len(plain) if following is None else following.start()
        bodies[start[1]] = bodies.get(start[1], "") + plain[start.end() : end]
    bounds = {name: _bound(body) for name, body in bodies.items()}
    repeating = {name for name, bound in bounds.items() if bound > 1}
    named = {name: {*NAME.findall(body)} & bodies.keys() for name, body in bodies.items()}
    return min(max([_bound(plain) if not bodies else 1, *(_product(one, bounds, named) for one in repeating)]), MANY)


def _bound(body: str) -> int:
    groups, largest = 1, 1
    for found in BOUND.finditer(body):
        least = int(found[2] or found[4])
        most = max(least, int(found[3] or 0), int(found[5] or 0))
        if found[1]:
            groups = min(groups * max(most, 1), MANY)
        else:
            largest = max(largest, most)
    return min(groups * largest, MANY)


def _product(first: str, bounds: dict[str, int], named: dict[str, set[str]]) -> int:
    """Product of the bounds of all rules that are reached from `first`, each once."""
    product, seen, waiting = 1, {first}, [first]
    while waiting and product < MANY:
        name = waiting.pop()
        product = min(product * bounds[name], MANY)
        fresh = named[name] - seen
        seen |= fresh
        waiting.extend(fresh)
    return product
