"""Tests that the deliberate faults still apply, and that the tests they name exist."""

from collections import Counter

import pytest

from tests.support.faults import TESTS, all_faults, apply, copy_package

FAULTS = all_faults()
FEWEST = {"core": 8, "contract": 4, "store": 2, "ops": 6, "tf": 6, "torch": 4}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    copy_package(folder)
    return folder


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_each_applies_and_names_its_tests(fault, copy):
    apply(fault, copy, check=True)
    assert fault.tests
    for test in fault.tests:
        assert (TESTS.parent / test.split("::")[0]).is_file(), test


def test_a_patch_that_does_not_apply_is_reported(copy):
    (copy / "merlin_popsampler/core/alias.py").rename(copy / "elsewhere.py")
    with pytest.raises(RuntimeError, match="core_alias.patch to apply"):
        apply(next(fault for fault in FAULTS if fault.name == "core_alias"), copy, check=True)


def test_there_are_faults_in_every_area():
    found = Counter(fault.name.split("_")[0] for fault in FAULTS)
    assert len(FAULTS) >= 30
    assert all(found[area] >= number for area, number in FEWEST.items()), found
