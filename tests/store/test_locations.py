"""Which folders of fits are found, and which are given up."""

import json
import os
from datetime import datetime, timedelta, timezone

import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.store import artifact, locations
from merlin_popsampler.store.artifact import FitFolder
from tests.store.test_artifact import METADATA, fitted_in


def test_folders_are_new_hidden_and_in_the_order_of_time():
    folders = [locations.new_folder("/a", artifact.CATEGORIES) for _ in range(50)]
    assert len(set(folders)) == 50
    times = [folder.place.split("-")[0] for folder in folders]
    assert times == sorted(times)
    assert all(folder.path.startswith("/a/categories/.fits/2") for folder in folders)
    assert locations.new_folder("/a", artifact.FREQUENCY_ORDER).place.startswith(
        "frequency_order/.fits/"
    )


def test_a_manifest_makes_a_fit_complete(tmp_path):
    folders = [FitFolder(str(tmp_path), f"categories/.fits/{name}") for name in "abc"]
    fits = [{"item": fitted_in(folder), "Ü": fitted_in(folder, "Ü")} for folder in folders]
    assert locations.fits_below(str(tmp_path)) == []
    for fit in (fits[2], fits[0]):
        artifact.complete(fit)
    assert locations.fits_below(str(tmp_path)) == [fits[0], fits[2]]
    assert locations.fits_below(f"{tmp_path}/categories/../categories") != []
    manifest = json.loads((tmp_path / "categories/.fits/a/manifest.json").read_text())
    assert manifest == {
        "format": 1,
        "columns": {
            name: {"files": fits[0][name].files, "popularity": METADATA.to_dict()}
            for name in ("item", "Ü")
        },
    }


def test_fits_of_every_kind_of_folder(tmp_path):
    places = ["categories/.fits/x", "frequency_order/.fits/x", "popsampler/0a"]
    for place in places:
        artifact.complete({"item": fitted_in(FitFolder(str(tmp_path), place))})
    found = [fit["item"].folder.place for fit in locations.fits_below(str(tmp_path))]
    assert found == places
    inner = locations.fits_below(f"{tmp_path}/categories")
    assert [fit["item"].path("unique") for fit in inner] == [
        f"{tmp_path}/categories/.fits/x/unique.item.parquet"
    ]
    assert locations.fits_below(f"{tmp_path}/nothing") == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"format": 2, "columns": {}}', '{"format": 1, "columns": {"item": {}}}',
     '{"format": 1, "columns": {"item": {"files": {}, "popularity": {"version": 0}}}}'],
)  # fmt: skip
def test_manifests_that_are_none(tmp_path, content):
    artifact.complete({"item": fitted_in(FitFolder(str(tmp_path), "popsampler/0"))})
    (tmp_path / "popsampler/0/manifest.json").write_text(content)
    with pytest.raises(PopSamplerError, match=r"popsampler/0/manifest\.json"):
        locations.fits_below(str(tmp_path))


def test_fits_that_were_given_up_go(tmp_path):
    """Those of this process that are not in use, and nobody else's."""
    folders = [locations.new_folder(str(tmp_path), "categories") for _ in range(3)]
    other = folders[0].place.replace(f"-{os.getpid()}-", f"-{os.getppid()}-")
    folders += [FitFolder(str(tmp_path), other), FitFolder(str(tmp_path), "categories/.fits/mine")]
    fits = [{"item": fitted_in(folder)} for folder in folders]
    artifact.complete(fits[1])
    for subfolder, left in (("frequency_order", folders), ("categories", folders[1:])):
        locations.remove_abandoned(str(tmp_path), subfolder, {folders[2]})
        assert [folder for folder in folders if os.path.exists(folder.path)] == left


def named(time, host, process):
    return f"{time.strftime('%Y%m%dT%H%M%S.%f')}-{host}-{process}-0123abcd"


NOW = datetime.now(timezone.utc)
LONG_AGO = NOW - timedelta(days=1, hours=1)
OURS = locations.new_name().split("-")[1]
NOBODY = 2**22 + 1
"""No process: Linux numbers them up to 2**22."""


def test_names_are_new_and_in_the_order_of_time():
    names = [locations.new_name() for _ in range(50)]
    assert len(set(names)) == 50
    times = [locations.time_of(name) for name in names]
    assert times == sorted(times)
    assert times == [name.split("-")[0] for name in names]
    assert locations.time_of("mine") is None


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
    assert locations.has_ended(name) == expected


def test_containers_of_one_name_are_told_apart():
    """The numbers of their processes mean nothing to each other."""
    assert OURS.endswith(f".{os.stat('/proc/self/ns/pid').st_ino}")
