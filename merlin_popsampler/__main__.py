"""Runs the command line, `python -m merlin_popsampler`; see `cli`."""

import signal
import sys

if __name__ == "__main__":
    # Ctrl-C ends the process by the signal, without a traceback, even during imports.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from .cli.commands import main
    except ModuleNotFoundError as error:  # an installation with a framework alone
        sys.stderr.write(f"error: {error}. Both commands need fsspec, pandas and pyarrow.\n")
        sys.exit(2)

    sys.exit(main())
