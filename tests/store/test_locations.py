"""Tests which folders of fits are found, and which are removed as abandoned."""

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
    times = [folder.subpath.split("-")[0] for folder in folders]
    assert times == sorted(times)
    assert all(folder.path.startswith("/a/categories/.fits/2") for folder in folders)
    assert locations.new_folder("/a", artifact.FREQUENCY_ORDER).subpath.startswith(
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
    found = [fit["item"].folder.subpath for fit in locations.fits_below(str(tmp_path))]
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


def started(ago):
    return f"{datetime.now(timezone.utc) - timedelta(hours=ago):%Y%m%dT%H%M%S.%f}"


def test_unfinished_fits_go_after_a_day(tmp_path):
    """Kept are fits in use, complete fits, those of other operators, and other folders."""
    abandoned = {
        f"{started(0)}-0123abcd": False,
        f"{started(23.9)}-0123abcd": False,
        f"{started(24.1)}-0123abcd": True,
        f"{started(9999)}-0123abcd": True,
        "20209999T000000.000000-0123abcd": False,
        "mine": False,
    }
    names = [*abandoned, f"{started(48)}-00000001", f"{started(48)}-00000002"]
    folders = [FitFolder(str(tmp_path), f"categories/.fits/{name}") for name in names]
    fits = [{"item": fitted_in(folder)} for folder in folders]
    artifact.complete(fits[-1])
    kept = [folder for folder in folders if not abandoned.get(folder.subpath.rsplit("/")[-1])]
    for subfolder, left in (("frequency_order", folders), ("categories", kept)):
        locations.remove_abandoned(str(tmp_path), subfolder, {folders[-2]})
        assert [folder for folder in folders if os.path.exists(folder.path)] == left


def test_the_later_of_two_fits():
    def at(name):
        return FitFolder("/a", f"categories/.fits/{name}")

    earlier, later = at(f"{started(3)}-0123abcd"), at(f"{started(2)}-00000000")
    assert locations.began_later(later, earlier)
    assert not locations.began_later(earlier, later)
    assert not locations.began_later(later, at("mine"))
    assert not locations.began_later(FitFolder("/a", "popsampler/0a"), earlier)
