"""Runs a small sample of `make crashes`, which interrupts calls to the file system."""

import re

from tests.support.processes import run_python

SAMPLE = """
import sys
from tests.support.crashes import main
sys.argv[1:] = ["--done", "fits", "saves", "--every", "307"]
main()
"""


def test_a_sample_of_crashes():
    """Tries each type of failure, in fits and in saves: about a dozen cases."""
    said = run_python(SAMPLE)
    right, wrong = re.search(r"(\d+) right, (\d+) wrong", said).groups()
    assert int(right) > 10 and int(wrong) == 0, said
