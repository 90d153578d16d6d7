"""`python -m merlin_popsampler`: the door to `cli`."""

import sys

from .cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
