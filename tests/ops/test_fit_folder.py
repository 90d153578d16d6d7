"""What lies in the folder of a fit, written out here: copies of saved workflows are read by it."""

import json
import os
from datetime import datetime, timedelta, timezone

import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError, PopularityMetadata
from merlin_popsampler.ops import fit_folder
from merlin_popsampler.ops.fit_folder import FitFolder, Fitted

METADATA = PopularityMetadata.from_counts([5, 1, 1], 3, "counted", 8)


def fitted_in(folder, name="item", values=(1,), kind="unique"):
    frames = [pd.DataFrame({"v": [value]}, index=[value + 3]) for value in values]
    return Fitted(folder, {kind: fit_folder.write(folder, kind, name, frames)}, METADATA)


def test_folders_are_new_hidden_and_in_the_order_of_time():
    folders = [fit_folder.new_folder("/a", fit_folder.CATEGORIES) for _ in range(50)]
    assert len(set(folders)) == 50
    times = [folder.place.split("-")[0] for folder in folders]
    assert times == sorted(times)
    assert all(folder.path.startswith("/a/categories/.fits/2") for folder in folders)
    assert fit_folder.new_folder("/a", fit_folder.FREQUENCY_ORDER).place.startswith(
        "frequency_order/.fits/"
    )


def test_a_file_and_a_folder_of_parts(tmp_path):
    folder = FitFolder(str(tmp_path), "fit")
    one, many = fitted_in(folder), fitted_in(folder, "user", range(12))
    assert one.path("unique") == f"{tmp_path}/fit/unique.item.parquet"
    assert many.path("unique") == f"{tmp_path}/fit/unique.user.parquet"
    assert sorted(os.listdir(many.path("unique"))) == sorted(f"part.{i}.parquet" for i in range(12))
    assert many.table("unique")["v"].tolist() == list(range(12))
    assert many.table("unique").index.tolist() == list(range(3, 15))
    assert one.digest("unique") != many.digest("unique")
    assert one.digest("unique") == fitted_in(FitFolder(str(tmp_path), "b")).digest("unique")


@pytest.mark.parametrize("part", [0, 1])
def test_files_that_changed_are_not_read(tmp_path, part):
    found = fitted_in(FitFolder(str(tmp_path), "fit"), values=range(2))
    path = tmp_path / "fit" / "unique.item.parquet" / f"part.{part}.parquet"
    found.check_files()
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(PopSamplerError, match=rf"part\.{part}\.parquet.*digest"):
        found.check_files()
    path.unlink()
    with pytest.raises(PopSamplerError, match=rf"part\.{part}\.parquet.*no file"):
        found.table("unique")


PLAIN = ["item", "item_id", "a.b", "7", "x" * 60]
NAMES = [
    *PLAIN,
    *["Item", "ITEM", "item/id", "item_id ", "../item", "tags[0]", "tags[1]", "a*", "a?", "", "."],
    *["..", ".item", "-x", "é", "e", "a\0b", "a\\b", "x" * 61, "x" * 250, "y" + "x" * 249, "日本"],
    *["\ud800", "unique", "part.0", "a\nb", "CON", "nul:"],
]


def test_every_name_has_a_file_of_its_own(tmp_path):
    """On file systems that do not tell capitals apart, too."""
    folder = FitFolder(str(tmp_path), "fit")
    found = {name: fitted_in(folder, name, [value]) for value, name in enumerate(NAMES)}
    files = os.listdir(tmp_path / "fit")
    assert len({file.lower() for file in files}) == len(NAMES)
    assert all(len(file) < 100 and file.isascii() and file.isprintable() for file in files)
    assert not any(letter in file for file in files for letter in '/\\:*?"<>|[] ')
    for value, name in enumerate(NAMES):
        assert found[name].table("unique")["v"].tolist() == [value]
    assert {f"unique.{name}.parquet" for name in PLAIN} <= set(files)


def test_a_manifest_makes_a_fit_complete(tmp_path):
    folders = [FitFolder(str(tmp_path), f"categories/.fits/{name}") for name in "abc"]
    fits = [{"item": fitted_in(folder), "Ü": fitted_in(folder, "Ü")} for folder in folders]
    assert fit_folder.fits_below(str(tmp_path)) == []
    for fit in (fits[2], fits[0]):
        fit_folder.complete(fit)
    assert fit_folder.fits_below(str(tmp_path)) == [fits[0], fits[2]]
    assert fit_folder.fits_below(f"{tmp_path}/categories/../categories") != []
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
    found = [fit["item"].folder.place for fit in fit_folder.fits_below(str(tmp_path))]
    assert found == places
    inner = fit_folder.fits_below(f"{tmp_path}/categories")
    assert [fit["item"].path("unique") for fit in inner] == [
        f"{tmp_path}/categories/.fits/x/unique.item.parquet"
    ]
    assert fit_folder.fits_below(f"{tmp_path}/nothing") == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"format": 2, "columns": {}}', '{"format": 1, "columns": {"item": {}}}',
     '{"format": 1, "columns": {"item": {"files": {}, "popularity": {"version": 0}}}}'],
)  # fmt: skip
def test_manifests_that_are_none(tmp_path, content):
    fit_folder.complete({"item": fitted_in(FitFolder(str(tmp_path), "popsampler/0"))})
    (tmp_path / "popsampler/0/manifest.json").write_text(content)
    with pytest.raises(PopSamplerError, match=r"popsampler/0/manifest\.json"):
        fit_folder.fits_below(str(tmp_path))


def named(time, host, process):
    return f"{time.strftime('%Y%m%dT%H%M%S.%f')}-{host}-{process}-0123abcd"


NOW = datetime.now(timezone.utc)
LONG_AGO = NOW - timedelta(days=1, hours=1)
OURS = fit_folder.new_folder("", "").place.split("-")[1]
NOBODY = 2**22 + 1
"""No process: Linux numbers them up to 2**22."""


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
def test_fits_that_were_given_up(tmp_path, name, expected):
    folder = FitFolder(str(tmp_path), f"categories/.fits/{name}")
    fit = {"item": fitted_in(folder)}
    given_up = [folder] if expected else []
    assert fit_folder.abandoned(str(tmp_path), "categories", frozenset()) == given_up
    assert fit_folder.abandoned(str(tmp_path), "categories", {folder}) == []
    assert fit_folder.abandoned(str(tmp_path), "frequency_order", frozenset()) == []
    fit_folder.complete(fit)
    assert fit_folder.abandoned(str(tmp_path), "categories", frozenset()) == []


def test_size_columns():
    assert fit_folder.size_column("item") == "item_size"
