"""Stage, check, publish, move, forget, in an operator that does nothing else."""

import gc
import os
import pickle
import warnings
from dataclasses import dataclass
from types import SimpleNamespace

import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops import storage
from merlin_popsampler.ops.fit_files import FittedFiles
from tests.support.workflow_helpers import bytes_below, staging_folders

pytestmark = pytest.mark.filterwarnings("error")


@dataclass(frozen=True)
class Found:
    path: str
    digest: str
    tv: float = 0.0

    @property
    def metadata(self):
        return SimpleNamespace(fit={"log_uniform": {"tv": self.tv}})

    def check_files(self):
        storage.check_digest(self.path, self.digest)


class StandIn(FittedFiles):
    subfolder = "things"
    kinds = ("first", "second")
    refused = ""

    def __init__(self, out_path):
        self.out_path = out_path
        self._init_files()

    def _check(self, name, found):
        if name == self.refused:
            raise PopSamplerError(f"no {name}")


def stage(operator, values, second=True, tv=0.0):
    """Files with these values by name, and what the tasks of a fit would answer."""
    folder, stats = operator._begin(list(values)), {}
    for name, value in values.items():
        path = f"{folder}/first.{name}.parquet"
        storage.write(path, pd.DataFrame({"v": [value]}))
        if second:
            storage.write(f"{folder}/second.{name}.parquet", pd.DataFrame({"v": [-value]}))
        stats[name] = Found(path, storage.file_digest(path), tv)
    return stats


def fit(operator, values, **options):
    """One whole fit, in the order in which a workflow calls its parts."""
    operator.clear()
    operator.fit_finalize(stage(operator, values, **options))


def values_in(folder):
    """What lies in a folder, by file."""
    files = sorted(os.listdir(folder))
    return {file: int(storage.read(f"{folder}/{file}")["v"].iloc[0]) for file in files}


def test_a_fit_is_staged_and_then_published(tmp_path):
    operator = StandIn(str(tmp_path))
    stats = stage(operator, {"a": 1, "b": 2})
    (staging,) = staging_folders(tmp_path)
    assert os.listdir(tmp_path / "things") == [os.path.basename(staging)]
    assert operator.fits == {}
    operator.fit_finalize(stats)
    published = {"first.a": 1, "first.b": 2, "second.a": -1, "second.b": -2}
    assert values_in(tmp_path / "things") == {f"{k}.parquet": v for k, v in published.items()}
    assert {name: found.path for name, found in operator.fits.items()} == {
        name: f"{tmp_path}/things/first.{name}.parquet" for name in ("a", "b")
    }
    assert [operator.fits[name].digest for name in stats] == [s.digest for s in stats.values()]


def test_two_nodes_of_one_operator_share_the_staging_folder(tmp_path):
    """A workflow fits all nodes of a phase before it finalizes the first."""
    operator = StandIn(str(tmp_path))
    a, b = stage(operator, {"a": 1}), stage(operator, {"b": 2})
    assert len(staging_folders(tmp_path)) == 1
    operator.fit_finalize(a)
    assert list(operator.fits) == ["a"]
    assert len(staging_folders(tmp_path)) == 1
    operator.fit_finalize(b)
    assert sorted(operator.fits) == ["a", "b"]
    assert staging_folders(tmp_path) == []
    assert values_in(tmp_path / "things")["first.b.parquet"] == 2


def test_staging_folders_are_never_shared_by_operators(tmp_path):
    folders = {StandIn(str(tmp_path))._begin(["a"]) for _ in range(3)}
    assert len(folders) == 3


def test_one_name_twice_is_refused(tmp_path):
    operator = StandIn(str(tmp_path))
    with pytest.raises(PopSamplerError, match=r"several named \['a'\]"):
        operator._begin(["a", "b", "a"])
    operator._begin(["a", "b"])
    with pytest.raises(PopSamplerError, match=r"several named \['b'\]"):
        operator._begin(["b", "c"])
    operator.clear()
    operator._begin(["b", "c"])


def test_a_second_fit_replaces_all_files_of_the_first(tmp_path):
    """Also a kind that the second does not have: it would belong to nothing."""
    operator = StandIn(str(tmp_path))
    fit(operator, {"a": 1})
    fit(operator, {"a": 5}, second=False)
    assert values_in(tmp_path / "things") == {"first.a.parquet": 5}


@pytest.mark.parametrize("refused", ["a", "b"])
def test_a_refused_fit_changes_nothing(tmp_path, refused):
    """Whichever vocabulary it is about: those that are fine are not published either."""
    operator = StandIn(str(tmp_path))
    fit(operator, {"a": 1, "b": 2})
    before, fits = bytes_below(tmp_path), operator.fits
    operator.refused = refused
    with pytest.raises(PopSamplerError, match=f"no {refused}"):
        fit(operator, {"a": 7, "b": 8}, second=False)
    assert bytes_below(tmp_path) == before
    assert staging_folders(tmp_path) == []
    assert operator.fits == fits
    operator.refused = ""
    fit(operator, {"a": 7, "b": 8})
    assert values_in(tmp_path / "things")["first.b.parquet"] == 8


def test_what_was_fitted_survives_a_row_of_failures(tmp_path):
    """The first is refused; the second never gets to its end, as where a task fails."""
    operator = StandIn(str(tmp_path))
    fit(operator, {"a": 1})
    before, fits = bytes_below(tmp_path), operator.fits
    operator.refused = "a"
    with pytest.raises(PopSamplerError):
        fit(operator, {"a": 7})
    operator.clear()
    operator._begin(["a"])
    with pytest.raises(PopSamplerError):
        fit(operator, {"a": 8})
    assert bytes_below(tmp_path) == before
    assert operator.fits == fits


def test_a_file_that_somebody_else_relies_on_is_not_replaced(tmp_path):
    owner, other = StandIn(str(tmp_path)), StandIn(f"{tmp_path}/x/..")
    fit(owner, {"a": 1})
    before = bytes_below(tmp_path)
    os.mkdir(tmp_path / "x")
    with pytest.raises(PopSamplerError, match="'a'.*still in use"):
        fit(other, {"a": 2, "b": 3})
    assert bytes_below(tmp_path) == before
    assert other.fits == {}
    fit(other, {"a": 1, "b": 3})  # the same keys harm nobody
    del owner
    gc.collect()
    fit(other, {"a": 2})
    assert values_in(tmp_path / "things")["first.a.parquet"] == 2


def test_clear_forgets_and_leaves_the_files(tmp_path):
    operator = StandIn(str(tmp_path))
    fit(operator, {"a": 1})
    before = bytes_below(tmp_path)
    operator.clear()
    assert operator.fits == {}
    assert bytes_below(tmp_path) == before


def test_a_new_place_alone(tmp_path):
    """As after a saved folder was moved: paths follow, files are where somebody put them."""
    operator = StandIn(str(tmp_path / "old"))
    fit(operator, {"a": 1})
    operator.set_storage_path(tmp_path / "new")
    assert operator.out_path == str(tmp_path / "new")
    assert operator.fits["a"].path == f"{tmp_path}/new/things/first.a.parquet"
    assert not (tmp_path / "new").exists()
    os.rename(tmp_path / "old", tmp_path / "new")
    operator.fits["a"].check_files()


def test_a_copy_at_a_new_place(tmp_path):
    operator = StandIn(str(tmp_path / "old"))
    fit(operator, {"a": 1, "b": 2})
    before = bytes_below(tmp_path / "old")
    storage.write(f"{tmp_path}/new/things/second.c.parquet", pd.DataFrame({"v": [9]}))
    operator.set_storage_path(tmp_path / "new", copy=True)
    assert bytes_below(tmp_path / "old") == before
    copied = bytes_below(tmp_path / "new")
    assert copied.pop("things/second.c.parquet")
    assert copied == before
    assert operator.fits["b"].path == f"{tmp_path}/new/things/first.b.parquet"
    fit(operator, {"a": 3})
    assert bytes_below(tmp_path / "old") == before


@pytest.mark.parametrize("spelled", ["{0}/old", "{0}/old/", "{0}/x/../old", "file://{0}/old"])
def test_a_copy_onto_itself_keeps_the_files(tmp_path, spelled):
    os.mkdir(tmp_path / "x")
    operator = StandIn(str(tmp_path / "old"))
    fit(operator, {"a": 1})
    before = bytes_below(tmp_path / "old")
    operator.set_storage_path(spelled.format(tmp_path), copy=True)
    assert bytes_below(tmp_path / "old") == before
    operator.fits["a"].check_files()


@pytest.mark.parametrize("damage", ["gone", "another"])
def test_damaged_files_are_not_copied(tmp_path, damage):
    """A save brings along what was fitted or nothing, and the operator stays where it was."""
    operator = StandIn(str(tmp_path / "old"))
    fit(operator, {"a": 1, "b": 2})
    path = operator.fits["b"].path
    os.remove(path)
    if damage == "another":
        storage.write(path, pd.DataFrame({"v": [3]}))
    with pytest.raises(PopSamplerError, match="Expected the file that was fitted"):
        operator.set_storage_path(tmp_path / "new", copy=True)
    assert not (tmp_path / "new").exists()
    assert operator.out_path == str(tmp_path / "old")
    assert operator.fits["a"].path == f"{tmp_path}/old/things/first.a.parquet"


def test_pickles_without_what_belongs_to_a_fit_on_its_way(tmp_path):
    operator = StandIn(str(tmp_path))
    fit(operator, {"a": 1})
    operator.clear()
    operator.fit_finalize(stage(operator, {"a": 2}))
    staging = operator._begin(["a"])
    copy = pickle.loads(pickle.dumps(operator))
    assert copy.fits == operator.fits
    assert (copy._earlier, copy._pending, copy._staging) == ({}, [], None)
    assert copy._begin(["a"]) != staging
    assert operator._begin(["b"]) == staging


@pytest.mark.parametrize(("tv", "said"), [(0.2, False), (0.21, True)])
def test_a_poor_log_uniform_fit_is_said(tmp_path, tv, said):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(StandIn(str(tmp_path)), {"a": 1}, tv=tv)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == said
    assert all("{'a': 0.21}" in message for message in messages)
