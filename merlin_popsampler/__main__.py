"""Runs the command line, `python -m merlin_popsampler`; see `cli`."""

import signal
import sys

if __name__ == "__main__":
    # Ctrl-C ends the process by the signal, without a traceback, even during imports.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .cli.commands import main

    sys.exit(main())
