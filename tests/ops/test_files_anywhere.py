"""Tests fits, saves, loads and reports with paths and URLs of all kinds."""

import os
from pathlib import Path

import nvtabular as nvt
import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder, PopSamplerError
from merlin_popsampler.cli.commands import main
from merlin_popsampler.store import filesystem, locations
from merlin_popsampler.store.artifact import FitFolder
from tests.support.workflow_helpers import dataset, expected_ids, fit_folders, transformed_anew

pytestmark = pytest.mark.filterwarnings("ignore")

LOCAL = {
    "absolute": "{0}/run",
    "relative": "run",
    "with dots": "./x/../run/",
    "with a prefix": "file://{0}/run",
    "through a link": "{0}/link/run",
    "with spaces": "{0}/a b  c/run [1]",
    "in other letters": "{0}/商品 é/run",
    "of a chain": "{0}/x::1/run",
    "of a chain, relative": "x::1/run",
    "of a known chain": "{0}/zip::x/simplecache::run",
    "of a URL": "{0}/s3:/x/run",
    "of a pattern": "{0}/a*b?c{{d,e}}[!f]/run",
    "of a query": "{0}/a?b=c#d%20e/run",
    "of a drive": "C:/run",
    "of a drive, backwards": "{0}/C:\\run",
    "of the shell": "{0}/~/$HOME/run",
    "with slashes": "{0}//a//run///",
}
"""Types of names, with characters special to fsspec, globs, URLs, shells and Windows."""

ELSEWHERE = {"in memory": "memory://商品 [1]/a b", "in a store": "s3://bucket/商品 [1]/a b"}


@pytest.fixture(scope="module")
def store():
    """Starts a local object store, with an empty bucket."""
    servers, s3fs = pytest.importorskip("moto.server"), pytest.importorskip("s3fs")
    server = servers.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "of nobody")
        s3fs.S3FileSystem.clear_instance_cache()
        fs = s3fs.S3FileSystem()
        fs.mkdir("bucket")
        yield fs
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def place(request, tmp_path):
    """Returns an empty folder with a name of this type."""
    if request.param == "in a store":
        request.getfixturevalue("store")
    if request.param == "in memory":
        request.getfixturevalue("memory")
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    return {**LOCAL, **ELSEWHERE}[request.param].format(tmp_path).rstrip("/")


elsewhere = pytest.mark.parametrize("place", list(ELSEWHERE), indirect=True)


def encoder(place):
    operator = FrequencyCategorify(out_path=f"{place}/fit", split_out=2)
    return nvt.Workflow(["item_id"] >> operator >> ops.TagAsItemID())


@pytest.mark.parametrize("place", [*LOCAL, *ELSEWHERE], indirect=True)
def test_fit_save_load_and_report(place, frame, capsys):
    expected = frame["item_id"].map(expected_ids(frame["item_id"])).tolist()
    workflow = encoder(place)
    workflow.fit(dataset(frame))
    assert transformed_anew(workflow, frame)["item_id"].tolist() == expected
    workflow.save(f"{place}/saved")
    workflow.transform(dataset(frame, 1)).to_parquet(f"{place}/data")
    loaded = nvt.Workflow.load(f"{place}/saved")
    assert transformed_anew(loaded, frame)["item_id"].tolist() == expected
    counts = filesystem.names_in(f"{place}/fit/categories")
    assert counts == [".fits", "meta.item_id.parquet", "popularity.item_id.parquet",
                      "unique.item_id.parquet"]  # fmt: skip
    said = []
    for of in ("fit", "saved", "data"):
        assert main(["inspect", f"{place}/{of}"]) in (0, None)
        said.append(capsys.readouterr().out)
    assert f"3 to {max(expected)} " in said[0] and said[0] == said[1]
    assert main(["compare", f"{place}/saved", f"{place}/fit"]) in (0, None)
    loaded.fit(dataset(pd.DataFrame({"item_id": [5, 6, 6]}), 1))
    assert loaded.transform(pd.DataFrame({"item_id": [5, 6]}))["item_id"].tolist() == [4, 3]
    assert len(locations.fits_below(f"{place}/saved")) == 2


@pytest.mark.parametrize("place", ["with a prefix", *ELSEWHERE], indirect=True)
def test_an_order_that_renumbers(place, frame):
    order = FrequencyOrder(on_violation="remap", out_path=f"{place}/fit")
    workflow = nvt.Workflow(["user"] >> order)
    workflow.fit(dataset(frame))
    expected = frame["user"].map(expected_ids(frame["user"], 0)).tolist()
    workflow.save(f"{place}/saved")
    filesystem.remove(f"{place}/fit")
    for one in (workflow, nvt.Workflow.load(f"{place}/saved")):
        assert transformed_anew(one, frame)["user"].tolist() == expected


@pytest.mark.parametrize("place", list(LOCAL), indirect=True)
def test_all_files_are_in_the_named_folder(place, frame, tmp_path, monkeypatch):
    """The path may be written in several ways, and the working directory may change."""
    workflow = encoder(place)
    workflow.fit(dataset(frame))
    expected = workflow.transform(frame)
    named = Path(place.split("://")[-1]).resolve()
    assert len(fit_folders(named)) == 1
    others = [path for path in tmp_path.rglob("*") if path.is_file() and named not in path.parents]
    assert others == []
    (tmp_path / "link").unlink()
    monkeypatch.chdir("/")
    pd.testing.assert_frame_equal(transformed_anew(workflow, frame), expected)


@pytest.mark.parametrize("name", ["x::1", "zip::x", "::x", "a::b::c"])
def test_a_save_is_in_one_folder(name, frame, tmp_path):
    """Regression: to fsspec, "::" in a path is a chain of URLs; NVTabular takes it literally."""
    workflow = encoder(str(tmp_path / "fit"))
    workflow.fit(dataset(frame))
    expected = workflow.transform(frame)
    workflow.save(str(tmp_path / name))
    assert sorted(os.listdir(tmp_path)) == sorted(["fit", name])
    filesystem.remove(str(tmp_path / "fit"))
    loaded = nvt.Workflow.load(str(tmp_path / name))
    pd.testing.assert_frame_equal(transformed_anew(loaded, frame), expected)
    assert main(["inspect", str(tmp_path / name)]) in (0, None)


@pytest.mark.parametrize("url", ["simplecache::memory://x", "memory://x::1", "file:///d/x::1"])
@pytest.mark.parametrize("operator", [FrequencyCategorify, FrequencyOrder])
def test_chains_of_file_systems_are_refused(url, operator, memory, tmp_path, monkeypatch):
    """Regression: a chain of URLs raises an error."""
    monkeypatch.chdir(tmp_path)
    workflow = nvt.Workflow(["user"] >> operator(out_path=url))
    with pytest.raises(PopSamplerError, match="without '::'"):
        workflow.fit(dataset(pd.DataFrame({"user": [0, 0, 1]}), 1))
    assert memory.store == {} and os.listdir(tmp_path) == []


@pytest.mark.parametrize("operator", [FrequencyCategorify, FrequencyOrder])
@pytest.mark.parametrize("name", ["file", "file/below", "x" * 256, "\ud800", "a\0b"], ids=ascii)
def test_a_place_that_cannot_be_written_is_refused(name, operator, tmp_path):
    """Regression: raises before counting. Cases: a file, a name that is too long or invalid."""
    (tmp_path / "file").write_text("mine")
    workflow = nvt.Workflow(["user"] >> operator(out_path=f"{tmp_path}/{name}"))
    with pytest.raises(PopSamplerError, match="folder that can be written"):
        workflow.fit(dataset(pd.DataFrame({"user": [0, 0, 1]}), 1))
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "mine"


@elsewhere
def test_only_the_manifest_makes_a_fit(place, frame):
    """Objects appear one by one: a folder without a manifest is not a fit, and is removed later."""
    workflow = encoder(place)
    workflow.fit(dataset(frame))
    root = filesystem.absolute(f"{place}/fit")
    whole = locations.fits_below(root)[0]["item_id"]
    cut = FitFolder(root, "categories/.fits/20200101T000000.000000-0123abcd")
    for name, content in whole.contents():
        filesystem.write_bytes(f"{cut.path}/{name}", content)
    assert [fits["item_id"] for fits in locations.fits_below(root)] == [whole]
    workflow.fit(dataset(frame))
    assert filesystem.names_in(cut.path) == []
    assert len(filesystem.names_in(f"{root}/categories/.fits")) == 2


@elsewhere
def test_the_last_writer_wins(place, frame):
    """This holds for the copies under fixed names; each workflow keeps its own fit."""
    first, second = encoder(place), encoder(place)
    other = pd.DataFrame({"item_id": [5, 6, 6]})
    first.fit(dataset(frame))
    expected = transformed_anew(first, frame)["item_id"].tolist()
    second.fit(dataset(other, 1))
    copied = filesystem.read_table(f"{place}/fit/categories/unique.item_id.parquet")
    assert copied["item_id"].tolist() == [6, 5]
    assert transformed_anew(first, frame)["item_id"].tolist() == expected
    for workflow in (second, first):
        workflow.save(f"{place}/saved")
    loaded = nvt.Workflow.load(f"{place}/saved")
    assert transformed_anew(loaded, frame)["item_id"].tolist() == expected


def test_files_that_other_processes_wrote_are_seen_at_once(store):
    """Listings are not cached."""
    filesystem.write_bytes("s3://bucket/listed/one", b"1")
    assert filesystem.names_in("s3://bucket/listed") == ["one"]
    store.call_s3("put_object", Bucket="bucket", Key="listed/two", Body=b"2")
    assert filesystem.names_in("s3://bucket/listed") == ["one", "two"]
    assert filesystem.exists("s3://bucket/listed/two")
    store.call_s3("delete_object", Bucket="bucket", Key="listed/one")
    assert not filesystem.exists("s3://bucket/listed/one")
    filesystem.remove("s3://bucket/listed")
    assert filesystem.names_in("s3://bucket/listed") == []


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path):
    filesystem.write_bytes(f"{tmp_path}/there/a", b"1")
    os.symlink(tmp_path / "there", tmp_path / "link")
    filesystem.remove(f"{tmp_path}/link")
    assert sorted(os.listdir(tmp_path)) == ["there"]
    assert os.listdir(tmp_path / "there") == ["a"]
