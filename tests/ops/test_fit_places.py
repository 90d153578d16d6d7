"""Which folders of fits are found, and which are given up."""

import json
import os

import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops import fit_folder, fit_places
from merlin_popsampler.ops.fit_folder import FitFolder
from tests.ops.test_fit_folder import METADATA, fitted_in


def test_folders_are_new_hidden_and_in_the_order_of_time():
    folders = [fit_places.new_folder("/a", fit_folder.CATEGORIES) for _ in range(50)]
    assert len(set(folders)) == 50
    times = [folder.place.split("-")[0] for folder in folders]
    assert times == sorted(times)
    assert all(folder.path.startswith("/a/categories/.fits/2") for folder in folders)
    assert fit_places.new_folder("/a", fit_folder.FREQUENCY_ORDER).place.startswith(
        "frequency_order/.fits/"
    )


def test_a_manifest_makes_a_fit_complete(tmp_path):
    folders = [FitFolder(str(tmp_path), f"categories/.fits/{name}") for name in "abc"]
    fits = [{"item": fitted_in(folder), "Ü": fitted_in(folder, "Ü")} for folder in folders]
    assert fit_places.fits_below(str(tmp_path)) == []
    for fit in (fits[2], fits[0]):
        fit_folder.complete(fit)
    assert fit_places.fits_below(str(tmp_path)) == [fits[0], fits[2]]
    assert fit_places.fits_below(f"{tmp_path}/categories/../categories") != []
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
        fit_folder.complete({"item": fitted_in(FitFolder(str(tmp_path), place))})
    found = [fit["item"].folder.place for fit in fit_places.fits_below(str(tmp_path))]
    assert found == places
    inner = fit_places.fits_below(f"{tmp_path}/categories")
    assert [fit["item"].path("unique") for fit in inner] == [
        f"{tmp_path}/categories/.fits/x/unique.item.parquet"
    ]
    assert fit_places.fits_below(f"{tmp_path}/nothing") == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"format": 2, "columns": {}}', '{"format": 1, "columns": {"item": {}}}',
     '{"format": 1, "columns": {"item": {"files": {}, "popularity": {"version": 0}}}}'],
)  # fmt: skip
def test_manifests_that_are_none(tmp_path, content):
    fit_folder.complete({"item": fitted_in(FitFolder(str(tmp_path), "popsampler/0"))})
    (tmp_path / "popsampler/0/manifest.json").write_text(content)
    with pytest.raises(PopSamplerError, match=r"popsampler/0/manifest\.json"):
        fit_places.fits_below(str(tmp_path))


def test_fits_that_were_given_up_go(tmp_path):
    """Those of this process that are not in use, and nobody else's."""
    folders = [fit_places.new_folder(str(tmp_path), "categories") for _ in range(3)]
    other = folders[0].place.replace(f"-{os.getpid()}-", f"-{os.getppid()}-")
    folders += [FitFolder(str(tmp_path), other), FitFolder(str(tmp_path), "categories/.fits/mine")]
    fits = [{"item": fitted_in(folder)} for folder in folders]
    fit_folder.complete(fits[1])
    for subfolder, left in (("frequency_order", folders), ("categories", folders[1:])):
        fit_places.remove_abandoned(str(tmp_path), subfolder, {folders[2]})
        assert [folder for folder in folders if os.path.exists(folder.path)] == left
