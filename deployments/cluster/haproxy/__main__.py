"""Entry: `python FOLDER ARGUMENTS`, where this folder is no part of an imported package."""

import os
import sys
from importlib import import_module

if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    # As a package of its own: importing `deployments` would import pydantic, and cost a second.
    sys.path[0] = os.path.dirname(folder)
    sys.exit(import_module(f"{os.path.basename(folder)}.program").main(sys.argv[1:], os.environ))
