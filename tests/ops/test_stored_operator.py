"""Tests the stages of a fit and its saves in an operator that does nothing else."""

import copy
import gc
import os
import pickle
import shutil
import warnings
from dataclasses import replace

import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError, PopularityMetadata
from merlin_popsampler.ops.nvtabular_compat import StatOperator
from merlin_popsampler.ops.stored_operator import StoredOperator
from merlin_popsampler.store import artifact
from merlin_popsampler.store.artifact import FitArtifact
from tests.support.processes import OPERATORS, run_python
from tests.support.workflow_helpers import bytes_below, fit_folders

pytestmark = pytest.mark.filterwarnings("error")
METADATA = PopularityMetadata.from_counts([2, 1], 3, "counted", 8)


class StandIn(StoredOperator, StatOperator):
    subfolder = "things"
    refused = ""

    def __init__(self, out_path):
        super().__init__()
        self.out_path = str(out_path)
        self._init_files()

    def _check(self, name, found):
        if name == self.refused:
            raise PopSamplerError(f"no {name}")


def begin(operator, values):
    """Begins a fit: writes these values to files, and returns the results of its tasks."""
    folder, stats = operator._begin(list(values)), {}
    for name, value in values.items():
        frames = [pd.DataFrame({"v": [value]})]
        stats[name] = FitArtifact(
            folder, {"v": artifact.write(folder, "v", name, frames)}, METADATA
        )
    return stats


def fit(operator, values):
    """Runs a complete fit, in the order in which a workflow calls its parts."""
    operator.clear()
    operator.fit_finalize(begin(operator, values))


def values_of(operator):
    """Returns the values that an operator reads, by name."""
    return {name: int(found.table("v")["v"].iloc[0]) for name, found in operator.fits.items()}


def test_a_fit_is_written_whole_and_then_used(tmp_path):
    operator = StandIn(tmp_path)
    stats = begin(operator, {"a": 1, "b": 2})
    (folder,) = fit_folders(tmp_path, complete=False)
    assert operator.fits == {}
    operator.fit_finalize(stats)
    assert fit_folders(tmp_path) == [folder]
    assert sorted(os.listdir(folder)) == ["manifest.json", "v.a.parquet", "v.b.parquet"]
    assert values_of(operator) == {"a": 1, "b": 2}


def test_nodes_of_one_operator_have_folders_of_their_own(tmp_path):
    """A workflow fits all nodes of a phase before it finalizes the first."""
    operator = StandIn(tmp_path)
    a, b = begin(operator, {"a": 1}), begin(operator, {"b": 2})
    operator.fit_finalize(a)
    assert values_of(operator) == {"a": 1}
    operator.fit_finalize(b)
    assert values_of(operator) == {"a": 1, "b": 2}
    assert len(fit_folders(tmp_path)) == 2


def test_one_name_twice_is_refused(tmp_path):
    operator = StandIn(tmp_path)
    with pytest.raises(PopSamplerError, match=r"several named \['a'\]"):
        operator._begin(["a", "b", "a"])
    operator._begin(["a", "b"])
    with pytest.raises(PopSamplerError, match=r"several named \['b'\]"):
        operator._begin(["b", "c"])
    operator.clear()
    operator._begin(["b", "c"])


def test_a_fit_is_complete_only_once_all_of_it_is_checked(tmp_path):
    """Other processes read any folder with a manifest, at any time."""
    operator, seen = StandIn(tmp_path), []
    operator._check = lambda *_: seen.append(fit_folders(tmp_path))
    fit(operator, {"a": 1, "b": 2})
    assert seen == [[], []]
    assert len(fit_folders(tmp_path)) == 1


@pytest.mark.parametrize("refused", ["a", "b"])
def test_a_refused_fit_changes_nothing(tmp_path, refused):
    """If one column is refused, the fits of the remaining columns are not used either."""
    operator = StandIn(tmp_path)
    fit(operator, {"a": 1, "b": 2})
    before = bytes_below(tmp_path)
    operator.refused = refused
    with pytest.raises(PopSamplerError, match=f"no {refused}"):
        fit(operator, {"a": 7, "b": 8})
    assert bytes_below(tmp_path) == before
    assert values_of(operator) == {"a": 1, "b": 2}
    operator.refused = ""
    fit(operator, {"a": 7, "b": 8})
    assert values_of(operator) == {"a": 7, "b": 8}


def test_a_second_node_that_is_refused_takes_the_first_along(tmp_path):
    operator = StandIn(tmp_path)
    fit(operator, {"a": 1})
    before = bytes_below(tmp_path)
    operator.clear()
    a, b = begin(operator, {"a": 5}), begin(operator, {"b": 6})
    operator.fit_finalize(a)
    operator.refused = "b"
    with pytest.raises(PopSamplerError):
        operator.fit_finalize(b)
    assert bytes_below(tmp_path) == before
    assert values_of(operator) == {"a": 1}


def test_what_was_fitted_survives_a_row_of_failures(tmp_path):
    """The first fit is refused; the second does not end, as if a task failed."""
    operator = StandIn(tmp_path)
    fit(operator, {"a": 1})
    before = bytes_below(tmp_path)
    operator.refused = "a"
    with pytest.raises(PopSamplerError):
        fit(operator, {"a": 7})
    operator.clear()
    begin(operator, {"a": 8})
    assert values_of(operator) == {"a": 1}
    with pytest.raises(PopSamplerError):
        fit(operator, {"a": 9})
    assert bytes_below(tmp_path) == before
    assert values_of(operator) == {"a": 1}


def test_a_manifest_that_cannot_be_written(tmp_path, monkeypatch):
    operator = StandIn(tmp_path)
    fit(operator, {"a": 1})
    before = bytes_below(tmp_path)

    def full(*_):
        raise OSError("no space left")

    with monkeypatch.context() as broken, pytest.raises(OSError, match="no space"):
        broken.setattr(artifact, "complete", full)
        fit(operator, {"a": 2})
    assert bytes_below(tmp_path) == before
    assert values_of(operator) == {"a": 1}


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, RuntimeError])
def test_what_comes_after_the_manifest_belongs_to_the_fit(tmp_path, stopped):
    """A fit that stops after its manifest does not count, although its files are complete."""
    operator = StandIn(tmp_path)
    fit(operator, {"a": 1})
    before = bytes_below(tmp_path)

    def stop(_):
        assert len(fit_folders(tmp_path)) == 2
        raise stopped

    operator._copy = stop
    with pytest.raises(stopped):
        fit(operator, {"a": 2})
    assert bytes_below(tmp_path) == before
    assert values_of(operator) == {"a": 1}


def test_a_warning_that_is_an_error_refuses_the_fit(tmp_path):
    for value in range(9):
        fit(StandIn(tmp_path), {"a": value})
    operator = StandIn(tmp_path)
    fit(operator, {"a": 10})
    with pytest.raises(UserWarning, match="11 fits lie in"):
        fit(operator, {"a": 11})
    assert values_of(operator) == {"a": 10}
    assert len(fit_folders(tmp_path)) == 10


def test_an_older_fit_that_cannot_be_removed_raises_no_error(tmp_path, monkeypatch):
    """The older fit stays complete until a later fit removes it."""
    operator = StandIn(tmp_path)
    for value in (1, 2):
        fit(operator, {"a": value})

    def refused(_):
        raise PermissionError("not now")

    with monkeypatch.context() as broken:
        broken.setattr(os, "remove", refused)
        fit(operator, {"a": 3})
    assert values_of(operator) == {"a": 3}
    fit(operator, {"a": 4})
    assert values_of(operator) == {"a": 4}
    assert fit_folders(tmp_path, complete=False) == []


def test_a_save_fails_if_its_files_vanish_while_copied(tmp_path, monkeypatch):
    """Another process removes the files meanwhile."""
    operator = StandIn(tmp_path / "fit")
    fit(operator, {"a": 1})
    fits, real = operator.fits, os.replace

    def loses(source, target):
        real(source, target)
        if target.endswith("v.a.parquet"):
            os.remove(target)

    with monkeypatch.context() as broken, pytest.raises(PopSamplerError, match="no file"):
        broken.setattr(os, "replace", loses)
        operator.set_storage_path(tmp_path / "save", copy=True)
    assert operator.fits == fits
    operator.set_storage_path(tmp_path / "save", copy=True)
    assert values_of(operator) == {"a": 1}


def test_a_fit_on_its_way_goes_with_its_operator(tmp_path):
    operator = StandIn(tmp_path)
    begin(operator, {"a": 1})
    other = StandIn(tmp_path)
    fit(other, {"a": 2})
    assert len(fit_folders(tmp_path, complete=False)) == 1  # kept by the other fit
    del operator
    gc.collect()
    assert fit_folders(tmp_path, complete=False) == []
    assert values_of(other) == {"a": 2}


ENDS = (
    OPERATORS
    + """
import os, signal
import pandas as pd
from tests.ops.test_stored_operator import StandIn, begin
operator = StandIn(sys.argv[1] if len(sys.argv) > 1 else "out")
begin(operator, {"a": 1})
{end}
"""
)


def test_a_fit_on_its_way_goes_with_its_process(tmp_path):
    run_python(ENDS.replace("{end}", "raise SystemExit(0)"))
    assert fit_folders(tmp_path) == fit_folders(tmp_path, complete=False) == []


def test_a_fit_whose_process_was_killed_goes_after_a_day(tmp_path):
    run_python(ENDS.replace("{end}", "os._exit(0)"))
    (left,) = fit_folders(tmp_path, complete=False)
    shutil.copytree(left, left.with_name(f"20200101{left.name[8:]}"))
    fit(StandIn(tmp_path / "out"), {"a": 2})
    assert fit_folders(tmp_path, complete=False) == [left]


def test_a_fork_leaves_the_fits_of_its_parent_alone(tmp_path):
    run_python(
        ENDS.replace(
            "{end}",
            "child = os.fork()\n"
            "if child: os.waitpid(child, 0); assert os.listdir('out/things/.fits'); os._exit(0)",
        )
    )
    assert len(fit_folders(tmp_path, complete=False)) == 1


def test_operators_in_one_folder_keep_their_own_fits(tmp_path):
    """They have other values, and fit in any order."""
    operators = [StandIn(place) for place in (tmp_path, f"{tmp_path}/", f"{tmp_path}/x/..")]
    for value, operator in enumerate(operators):
        fit(operator, {"a": value})
    fit(operators[0], {"a": 9})
    assert [values_of(operator)["a"] for operator in operators] == [9, 1, 2]


def test_older_fits_go_and_those_in_use_stay(tmp_path):
    operator = StandIn(tmp_path)
    fit(operator, {"a": 1})
    holders = [copy.copy(operator), copy.deepcopy(operator), pickle.loads(pickle.dumps(operator))]
    for value in range(2, 6):
        fit(operator, {"a": value})
    assert len(fit_folders(tmp_path)) == 3
    assert [values_of(holder) for holder in holders] == 3 * [{"a": 1}]
    holders.clear()
    gc.collect()
    fit(operator, {"a": 6})
    assert len(fit_folders(tmp_path)) == 2
    assert values_of(operator) == {"a": 6}


def test_a_pickle_that_outlives_its_fit_raises_an_error(tmp_path):
    operator = StandIn(tmp_path)
    fit(operator, {"a": 1})
    older = pickle.dumps(operator)
    for value in range(2, 5):
        fit(operator, {"a": value})
    with pytest.raises(PopSamplerError, match=r"v\.a\.parquet.*no file.*save the workflow to keep"):
        values_of(pickle.loads(older))


def test_many_fits_raise_a_warning(tmp_path):
    """They are fits of ended processes, which only the user may remove."""
    for value in range(10):
        fit(StandIn(tmp_path), {"a": value})
    with pytest.warns(UserWarning, match="11 fits lie in .*things"):
        fit(StandIn(tmp_path), {"a": 11})


def test_a_new_place_alone(tmp_path):
    """A saved folder was moved: its files are read there, and later fits go there."""
    operator = StandIn(tmp_path / "old")
    fit(operator, {"a": 1})
    operator.set_storage_path(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    os.rename(tmp_path / "old", tmp_path / "new")
    assert values_of(operator) == {"a": 1}
    fit(operator, {"a": 2})
    assert not (tmp_path / "old").exists()


def test_a_copy_at_a_new_place(tmp_path):
    """The copy is not changed, and later fits are written where they were before."""
    operator = StandIn(tmp_path / "old")
    fit(operator, {"a": 1, "b": 2})
    before = bytes_below(tmp_path / "old")
    (tmp_path / "new" / "things").mkdir(parents=True)
    (tmp_path / "new" / "things" / "v.a.parquet").write_bytes(b"theirs")
    operator.set_storage_path(tmp_path / "new", copy=True)
    assert bytes_below(tmp_path / "old") == before
    copied = bytes_below(tmp_path / "new")
    assert copied.pop("things/v.a.parquet") == b"theirs"
    assert len(copied) == 4  # two files, two manifests
    shutil.rmtree(tmp_path / "old")
    assert values_of(operator) == {"a": 1, "b": 2}
    fit(operator, {"a": 3})
    assert len(fit_folders(tmp_path / "old")) == 1
    assert fit_folders(tmp_path / "new") == []


def test_equal_fits_share_a_copy_and_others_do_not(tmp_path):
    save = tmp_path / "save"
    for value in (1, 1, 2):
        operator = StandIn(tmp_path / "fit")
        fit(operator, {"a": value})
        operator.set_storage_path(save, copy=True)
        operator.set_storage_path(save, copy=True)
    assert len(os.listdir(save / "popsampler")) == 2


def test_a_damaged_copy_is_replaced(tmp_path):
    operator = StandIn(tmp_path / "fit")
    fit(operator, {"a": 1})
    saving = copy.copy(operator)
    saving.set_storage_path(tmp_path / "save", copy=True)
    before = bytes_below(tmp_path / "save")
    for path in before:
        (tmp_path / "save" / path).write_bytes(b"cut")
    with pytest.raises(PopSamplerError, match="digest"):
        values_of(saving)
    operator.set_storage_path(tmp_path / "save", copy=True)
    assert bytes_below(tmp_path / "save") == before
    assert values_of(saving) == {"a": 1}


@pytest.mark.parametrize("damage", ["gone", "another"])
def test_damaged_files_are_not_copied(tmp_path, damage):
    """A save copies the intact fit or nothing, and the operator still reads the original."""
    operator = StandIn(tmp_path / "old")
    fit(operator, {"a": 1, "b": 2})
    path = operator.fits["b"].path("v")
    shutil.copy(operator.fits["a"].path("v"), path) if damage == "another" else os.remove(path)
    fits = operator.fits
    with pytest.raises(PopSamplerError, match="Expected the file that the fit wrote"):
        operator.set_storage_path(tmp_path / "new", copy=True)
    assert not (tmp_path / "new").exists()
    assert operator.fits == fits


def test_copies_know_nothing_of_a_fit_on_its_way(tmp_path):
    operator = StandIn(tmp_path)
    fit(operator, {"a": 1})
    operator.clear()
    stats = begin(operator, {"a": 2})
    for other in (copy.copy(operator), pickle.loads(pickle.dumps(operator))):
        other.clear()
        other._begin(["a"])
        del other
        gc.collect()
    operator.fit_finalize(stats)
    assert values_of(operator) == {"a": 2}


def test_the_files_belong_to_the_fit(tmp_path):
    """Files of equal names have other contents, as from another process in this folder."""
    operator, other = StandIn(tmp_path), StandIn(tmp_path)
    fit(operator, {"a": 1})
    fit(other, {"a": 2})
    swapped = replace(operator.fits["a"], folder=other.fits["a"].folder)
    with warnings.catch_warnings(), pytest.raises(PopSamplerError, match="digest"):
        swapped.check_files()
