"""The sections on teams, read from the traces: number of proposers, layers, roles, mixed teams."""

from collections.abc import Sequence

from evaluation import papers
from evaluation.analysis.layers import LayerCell, by_layer
from evaluation.analysis.mixing import Best, by_mixing
from evaluation.analysis.proposers import by_proposers
from evaluation.analysis.roles import by_role
from evaluation.report import plots
from evaluation.report.section import Section
from evaluation.rows import Row
from evaluation.tables import UNKNOWN, Cell, Table, number, percent


def proposers_section(rows: Sequence[Row]) -> Section:
    """Show accuracy by number of proposers."""
    points = by_proposers(rows)
    table = Table(
        "Accuracy by number of proposers, % [95%]",
        ("setting", "aggregator", "proposers", "accuracy", "tokens", "arms"),
        tuple(
            (
                Cell(point.setting),
                Cell(point.aggregator),
                Cell(str(point.proposers)),
                percent(point.accuracy),
                number(point.tokens, 0),
                Cell(", ".join(point.arms)),
            )
            for point in points
        ),
    )
    return Section(
        "proposers",
        "Number of proposers",
        "Accuracy of two-layer arms with the same aggregator, by number of proposers."
        if points
        else "No data: run two-layer arms with a trace and different numbers of proposers.",
        (table,) if points else (),
        (plots.proposers(points),) if len({point.proposers for point in points}) > 1 else (),
        (papers.PROPOSERS,),
    )


def layers_section(rows: Sequence[Row]) -> Section:
    """Show accuracy by layer."""
    cells = by_layer(rows)
    deepest: dict[str, int] = {}
    for cell in cells:
        deepest[cell.arm] = max(deepest.get(cell.arm, 0), cell.layer)
    models = {arm: len({cell.model for cell in cells if cell.arm == arm}) for arm in deepest}
    tall = sorted(deepest, key=lambda arm: (-deepest[arm], -models[arm]))
    shown: Sequence[LayerCell] = [cell for cell in cells if cell.arm == tall[0]] if tall else []
    levels = range(1, max(deepest.values(), default=0) + 1)
    at = {(cell.arm, cell.role, cell.model, cell.layer): cell.accuracy for cell in cells}
    table = Table(
        "Accuracy of the agents' own texts, % [95%]",
        ("arm", "role", "model", *(f"layer {level}" for level in levels)),
        tuple(
            (Cell(arm), Cell(role), Cell(model), *(percent(at.get((arm, role, model, level))) for level in levels))
            for arm, role, model in dict.fromkeys((cell.arm, cell.role, cell.model) for cell in cells)
        ),
    )
    lead = (
        f"Accuracy of each model alone (layer 1) and with the previous layer's answers. The plot shows {tall[0]};"
        " a star marks the aggregator."
        if tall
        else "No data: run layered arms with a trace on a scored dataset."
    )
    return Section(
        "layers",
        "Accuracy by layer",
        lead,
        (table,) if cells else (),
        (plots.layers(shown),) if len({cell.layer for cell in shown}) > 1 else (),
        (papers.LAYERS,),
    )


def roles_section(rows: Sequence[Row]) -> Section:
    """Show the accuracy of each model in each role."""
    roles = by_role(rows)
    table = Table(
        "The same model in different roles, accuracy % [95%]",
        ("model", "alone", "its proposals", "team with it as only proposer", "team with it as aggregator"),
        tuple(
            (
                Cell(role.model),
                percent(role.alone),
                percent(role.proposal),
                percent(role.sole_proposer),
                percent(role.aggregator),
            )
            for role in roles
        ),
    )
    known = any(role.proposal or role.sole_proposer or role.aggregator for role in roles)
    lead = (
        "A good proposer is not always a good aggregator."
        if known
        else "No data: run arms with proposers and a trace on a scored dataset."
    )
    return Section("roles", "Models by role", lead, (table,) if known else (), (), (papers.ROLES,))


def mixing_section(rows: Sequence[Row]) -> Section:
    """Compare Self-MoA with mixed teams."""
    entries = by_mixing(rows)
    teams = any(entry.self_moa or entry.mixed for entry in entries)

    def cell(best: Best | None) -> Cell:
        if best is None:
            return UNKNOWN
        tokens = "" if best.tokens is None else f", {best.tokens:,.0f} tokens"
        return Cell(f"{percent(best.accuracy).text} {best.arm}{tokens}", best.accuracy.value)

    table = Table(
        "The best arm of each kind, accuracy % [95%]",
        ("task", "single call", "one model sampled (Self-MoA)", "several models", "Self-MoA minus mixed"),
        tuple(
            (
                Cell(entry.task),
                cell(entry.single),
                cell(entry.self_moa),
                cell(entry.mixed),
                Cell(f"{100 * entry.self_vs_mixed.difference:+.1f} (p {entry.self_vs_mixed.p:.2g})")
                if entry.self_vs_mixed
                else UNKNOWN,
            )
            for entry in entries
        ),
        note="The best arm of a kind was selected on the same items: expect a slightly lower accuracy on new ones.",
    )
    return Section(
        "mixing",
        "Self-MoA and mixed teams",
        "On one task, the best model, sampled, rivals a mixed team; over all tasks, no single model is best."
        if teams
        else "No data: run arms of one model sampled several times, and arms of several models, with a trace.",
        (table,) if teams else (),
        (),
        (papers.MIXING,),
    )
