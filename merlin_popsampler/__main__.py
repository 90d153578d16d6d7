"""`python -m merlin_popsampler`: the door to `cli`."""

import signal
import sys

if __name__ == "__main__":
    # Ctrl-C ends the process as a shell expects it, without a traceback, while imports run, too.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .cli.commands import main

    sys.exit(main())
