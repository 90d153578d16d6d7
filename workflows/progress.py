"""Shows the progress of a long step, on terminals and in logs.

On a terminal it is the bar of tqdm. Elsewhere, a bar would leave a line at every refresh. There it
prints at most one line in ten seconds, over all bars of the process, and none for a short step.
"""

import sys
import time
from typing import Any

from tqdm import tqdm

SECONDS = 10.0


class _Lines:
    """Passes few and complete lines of tqdm on to a file."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def write(self, text: str) -> None:
        line, now = text.strip(), time.monotonic()
        if line and now - self.last >= SECONDS:
            self.last = now
            print(line, file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Does nothing, since every line is flushed when it is written."""


_LINES = _Lines()


def bar(*args: Any, **kwargs: Any) -> tqdm:
    """Returns a tqdm bar on stderr; the arguments are those of tqdm."""
    return tqdm(*args, file=sys.stderr if sys.stderr.isatty() else _LINES, **kwargs)
