"""Progress of a long step, for people and for logs.

On a terminal it is tqdm's bar. Elsewhere, where a bar would leave a line at every refresh, it is at
most one line per ten seconds, counted over all bars of the process; a short step prints none.
"""

import sys
import time
from typing import Any

from tqdm import tqdm

SECONDS = 10.0


class _Lines:
    """A file for tqdm that passes on whole lines, and few of them."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def write(self, text: str) -> None:
        line, now = text.strip(), time.monotonic()
        if line and now - self.last >= SECONDS:
            self.last = now
            print(line, file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Every line is flushed when it is written."""


_LINES = _Lines()


def bar(*args: Any, **kwargs: Any) -> tqdm:
    """A tqdm of these arguments, on stderr."""
    return tqdm(*args, file=sys.stderr if sys.stderr.isatty() else _LINES, **kwargs)
