"""Who writes under a name, and whether he has ended."""

import os
from datetime import datetime, timedelta, timezone

import pytest

from merlin_popsampler.ops import writers


def named(time, host, process):
    return f"{time.strftime('%Y%m%dT%H%M%S.%f')}-{host}-{process}-0123abcd"


NOW = datetime.now(timezone.utc)
LONG_AGO = NOW - timedelta(days=1, hours=1)
OURS = writers.new_name().split("-")[1]
NOBODY = 2**22 + 1
"""No process: Linux numbers them up to 2**22."""


def test_names_are_new_and_in_the_order_of_time():
    names = [writers.new_name() for _ in range(50)]
    assert len(set(names)) == 50
    times = [writers.time_of(name) for name in names]
    assert times == sorted(times)
    assert times == [name.split("-")[0] for name in names]
    assert writers.time_of("mine") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(named(NOW, OURS, os.getpid()), True, id="this process"),
        pytest.param(named(NOW, OURS, os.getppid()), False, id="another"),
        pytest.param(named(NOW, OURS, 1), False, id="the first"),
        pytest.param(named(NOW, OURS, NOBODY), True, id="none"),
        pytest.param(named(NOW, "other-host", NOBODY), False, id="of another host"),
        pytest.param(named(LONG_AGO, "other-host", NOBODY), True, id="of long ago"),
        pytest.param(named(LONG_AGO, OURS, 1), True, id="for too long"),
        pytest.param("mine", False, id="no writer"),
    ],
)
def test_writers_that_have_ended(name, expected):
    assert writers.has_ended(name) == expected


def test_containers_of_one_name_are_told_apart():
    """The numbers of their processes mean nothing to each other."""
    assert OURS.endswith(f".{os.stat('/proc/self/ns/pid').st_ino}")
