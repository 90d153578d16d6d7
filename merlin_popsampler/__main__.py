"""Runs the command line, `python -m merlin_popsampler`; see `cli`."""

import atexit
import os
import signal
import sys

if __name__ == "__main__":
    # Ctrl-C ends the process by the signal, without a traceback, even during imports.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from .cli.commands import main
        from .cli.terminal import finish
    except ModuleNotFoundError as error:  # an installation with a framework alone
        sys.stderr.write(f"error: {error}. Both commands need fsspec, pandas and pyarrow.\n")
        sys.exit(2)

    code = main()
    try:
        atexit._run_exitfuncs()  # noqa: SLF001 - removes temporary folders of other libraries
        for stream in (sys.stdout, sys.stderr):
            finish(stream)
    finally:
        # Later, Arrow's threads sometimes abort or block the process (apache/arrow issues 34314 and
        # 50482). The exit code is a result, so Python's own cleanup does not run.
        os._exit(code)
