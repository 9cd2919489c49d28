"""Picture of the cost plan: dollars a month over the share of spot fallback, one band per region, as SVG."""

import math
from collections.abc import Iterator
from html import escape

from deployments.config import Profile
from deployments.plan.cost import CostOptions, months
from deployments.plan.month import Month

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 200, 48, 56  # margins around the plot
COLOURS = ("#0284c7", "#16a34a", "#d97706", "#7c3aed", "#db2777", "#475569")
STEPS = 5  # labels on the horizontal axis
TARGET_LINES = 5  # labels on the vertical axis, about


def picture(profile: Profile, options: CostOptions) -> str:
    """Return the picture as SVG text.

    A band reaches from the prices of the cheapest zone to those of the most expensive one. Regions without a large
    enough instance type are left out.

    Raises:
        ConfigError: the profile has models without GPUs.
    """
    found = {region: month for region, month in months(profile, options).items() if month is not None}
    most = max([options.limit, *(max(month.on_demand, month.spot_first(1)) for month in found.values())])
    return "\n".join(_lines(profile.name, found, options.limit, _step(most / TARGET_LINES), most)) + "\n"


def _step(dollars: float) -> float:
    """Smallest of 1, 2, 5, 10, ... that is at least `dollars`."""
    power = 10.0 ** math.floor(math.log10(dollars))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= dollars)


def _lines(name: str, found: dict[str, Month], budget: float, step: float, most: float) -> Iterator[str]:
    top = math.ceil(most / step) * step

    def x(share: float) -> float:
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(dollars: float) -> float:
        return HEIGHT - BOTTOM - dollars / top * (HEIGHT - TOP - BOTTOM)

    title = f"{escape(name)}: dollars a month by the share of spot fallback"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif"'
        ' font-size="13">'
    )
    yield f"  <title>{title}</title>"
    yield f'  <rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    yield f'  <text x="{LEFT}" y="26" font-size="15" fill="#0f172a">{title}</text>'
    for line in range(round(top / step) + 1):
        at = y(line * step)
        yield f'  <line x1="{x(0):.1f}" y1="{at:.1f}" x2="{x(1):.1f}" y2="{at:.1f}" stroke="#e2e8f0"/>'
        yield _text(x(0) - 8, at + 4, f"{line * step:,.0f}", "end")
    for number in range(STEPS + 1):
        yield _text(x(number / STEPS), y(0) + 20, f"{number / STEPS:.0%}", "middle")
    yield _text(x(0.5), y(0) + 42, "share of the time in which spot nodes are replaced by nodes on demand", "middle")
    for number, (region, month) in enumerate(found.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [(x(share), y(month.spot_first(zone, share))) for zone, share in ((0, 0), (0, 1), (1, 1), (1, 0))]
        outline = " ".join(f"{along:.1f},{up:.1f}" for along, up in points)
        yield f'  <polygon points="{outline}" fill="{colour}" fill-opacity="0.18" stroke="{colour}"/>'
        legend, left = TOP + 14 + 40 * number, x(1) + 20
        yield f'  <rect x="{left:.1f}" y="{legend - 11}" width="14" height="14" fill="{colour}" fill-opacity="0.5"/>'
        yield _text(left + 20, legend, region)
        spot = " - ".join(f"{month.spot_first(zone):,.0f}" for zone in (0, 1))
        yield _text(left + 20, legend + 16, f"spot: {spot}")
    yield _text(x(1) + 20, y(0) - 18, "A band: from the cheapest")
    yield _text(x(1) + 20, y(0) - 2, "to the most expensive zone.")
    at = y(budget)
    yield (
        f'  <line x1="{x(0):.1f}" y1="{at:.1f}" x2="{x(1):.1f}" y2="{at:.1f}" stroke="#dc2626" stroke-width="1.5"'
        ' stroke-dasharray="6 4"/>'
    )
    yield _text(x(0) + 8, at - 6, f"budget: {budget:,.0f}", colour="#dc2626")
    yield "</svg>"


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#475569") -> str:
    return f'  <text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
