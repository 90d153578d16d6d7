"""Tests the files in the folder of a fit, by names that older saves rely on."""

import os

import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError, PopularityMetadata
from merlin_popsampler.store import artifact, filesystem, locations
from merlin_popsampler.store.artifact import FitArtifact, FitFolder

METADATA = PopularityMetadata.from_counts([5, 1, 1], 3, "counted", 8)


def fitted_in(folder, name="item", values=(1,), kind="unique"):
    frames = [pd.DataFrame({"v": [value]}, index=[value + 3]) for value in values]
    return FitArtifact(folder, {kind: artifact.write(folder, kind, name, frames)}, METADATA)


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
    *["e\u0301", "a/b"],
    *["Item", "ITEM", "item/id", "item_id ", "../item", "tags[0]", "tags[1]", "a*", "a?", "", "."],
    *["..", ".item", "-x", "é", "e", "a\0b", "a\\b", "x" * 61, "x" * 250, "y" + "x" * 249, "日本"],
    *["\ud800", "unique", "part.0", "a\nb", "CON", "nul:", "a_b-575aa622"],
]
MADE = artifact._safe("item/id")


def test_every_name_has_a_file_of_its_own(tmp_path):
    """Regression: file names differ in more than case, since some file systems ignore case.

    Cases: paths, patterns, capitals, Unicode's normal forms, long names, control characters,
    half a surrogate pair, reserved names, and names that are the file name of another one.
    """
    folder = FitFolder(str(tmp_path), "fit")
    found = {name: fitted_in(folder, name, [value]) for value, name in enumerate([*NAMES, MADE])}
    files = os.listdir(tmp_path / "fit")
    assert len({file.lower() for file in files}) == len(NAMES) + 1
    assert all(len(file) < 100 and file.isascii() and file.isprintable() for file in files)
    assert not any(letter in file for file in files for letter in '/\\:*?"<>|[] ')
    for value, name in enumerate(NAMES):
        assert found[name].table("unique")["v"].tolist() == [value]
    assert {f"unique.{name}.parquet" for name in PLAIN} <= set(files)


def test_a_fit_goes_manifest_first(tmp_path, monkeypatch):
    """A process that is killed while it removes a fit leaves no manifest of missing files."""
    folder, gone = FitFolder(str(tmp_path), "fit"), []
    artifact.complete({"item": fitted_in(folder, values=range(3))})
    real = filesystem.remove
    monkeypatch.setattr(filesystem, "remove", lambda path: (gone.append(path), real(path)))
    artifact.remove(folder)
    assert gone[0] == f"{folder.path}/manifest.json"
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_removed_stays(tmp_path, monkeypatch):
    folder = FitFolder(str(tmp_path), "fit")
    fit = {"item": fitted_in(folder)}
    artifact.complete(fit)

    def refused(_):
        raise PermissionError("not yours")

    monkeypatch.setattr(os, "remove", refused)
    artifact.remove(folder)
    fit["item"].check_files()
    assert locations.fitted_at(f"{folder.path}/unique.item.parquet") == fit["item"]


def test_files_that_this_process_does_not_see(tmp_path):
    """Workers wrote to another file system: no manifest is written for invisible files."""
    found = fitted_in(FitFolder(str(tmp_path), "fit"), values=range(3))
    (tmp_path / "fit" / "unique.item.parquet" / "part.1.parquet").unlink()
    with pytest.raises(PopSamplerError, match=r"/fit\. Received: no .*part\.1.*all workers share"):
        artifact.complete({"item": found})
    assert not (tmp_path / "fit" / "manifest.json").exists()


def test_size_columns():
    assert artifact.size_column("item") == "item_size"
