"""Ask a layer of a recorded run again: `python -m serving.replay TRACE --with model=NAME`.

Its recipes are those of a profile, which `deployments` reads: this package does not import that.
"""

import os
import sys
from collections.abc import Sequence

from serving.replay.command import parsed


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the arguments, then become `python -m deployments.replay`."""
    parsed(arguments)
    words = sys.argv[1:] if arguments is None else arguments
    os.execv(sys.executable, [sys.executable, "-m", "deployments.replay", *words])


if __name__ == "__main__":
    main()
