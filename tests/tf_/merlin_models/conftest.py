"""A process that several tests share, since it has to import Merlin Models anew."""

from typing import Iterator

import pytest

from tests.support.processes import Interpreter

MERLIN = """
from merlin_popsampler import compat
compat.enable()
import merlin.models.tf as mm
import numpy as np
import tensorflow as tf
"""


@pytest.fixture(scope="session")
def fresh() -> Iterator[Interpreter]:
    """Runs programs that load what was saved here; they find `mm`, `np` and `tf`."""
    interpreter = Interpreter(MERLIN)
    yield interpreter
    interpreter.close()
