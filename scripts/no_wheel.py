"""Build backend that refuses to build (docs/adr/0008-checkout-and-images.md)."""

from typing import NoReturn

REFUSAL = "moa-serve is no installable package; run it from a clone (`make install`) or build an image from docker/."


def build_wheel(*_: object, **__: object) -> NoReturn:
    """Refuse `pip install .` and `pip wheel .`."""
    raise SystemExit(REFUSAL)


build_sdist = build_editable = build_wheel
get_requires_for_build_wheel = get_requires_for_build_sdist = get_requires_for_build_editable = build_wheel
