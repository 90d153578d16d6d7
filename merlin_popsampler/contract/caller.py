"""Finds the line of the user's program at which a warning is shown."""

import inspect
import os
from pathlib import Path

_PACKAGE = str(Path(__file__).parents[1]) + os.sep


def caller_level() -> int:
    """Returns the `stacklevel` of `warnings.warn` that names the first line outside this package.

    A warning reaches the user's program through calls of several depths, so no constant fits.

    Examples:
      >>> caller_level()  # this line is outside of the package
      1
    """
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    return level
