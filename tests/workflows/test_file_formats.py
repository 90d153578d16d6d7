"""Tests files of many tools, which tests/workflows/write_files.py wrote with equal content."""

import gzip
import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from merlin_popsampler import PopSamplerError
from tests.workflows.write_files import ITEMS, events

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
import preprocess
import read_files
from data_files import CsvOptions

FILES = Path(__file__).parent / "files"
COLUMNS = ("user", "item", "time")
SEPARATORS = {"pandas.csv.gz": ";", "duckdb.csv": "|"}
VIEWS = ("arrow_view.arrow", "polars_view.arrow")
NAMES = sorted({p.name for p in FILES.iterdir()} - {"pandas_items.parquet", *VIEWS})
VERSION = tuple(map(int, pa.__version__.split(".")[:2]))


def read(path, sep=None, **options):
    frame, keys = read_files.read_interactions(path, COLUMNS, options=CsvOptions(sep), **options)
    return frame, keys


def rows_of(frame):
    times = pd.to_datetime(frame["time"]).dt.tz_localize(None)
    return sorted(zip(frame["session"], frame["item_id"], times))


EVENTS = sorted((e["user"], e["item"], e["time"]) for e in events() if e["item"])


def test_every_tool_is_there():
    assert {name.replace(".", "_").split("_")[0] for name in NAMES} == {
        "arrow", "duckdb", "pandas", "polars", "spark",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_files_of_each_tool_say_the_same(name):
    """Regression: files of all tools give the same users, items and times."""
    frame, _ = read(FILES / name, SEPARATORS.get(name))
    assert rows_of(frame) == EVENTS
    assert frame["time"].dtype != object


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("column", ["code", "big", "tags", "none"])
def test_their_other_columns_are_items_or_refused(name, column):
    """Decimals and large integers are read; lists and nulls raise an error with the column."""
    options = CsvOptions(SEPARATORS.get(name))
    columns = ("user", column, "time")
    if column == "none" or (column == "tags" and "csv" not in name and name != "polars.tsv"):
        refused = f"one item a row|Expected complete rows|no \\['{column}'\\]"
        with pytest.raises(PopSamplerError, match=refused):
            read_files.read_interactions(FILES / name, columns, options=options)
    elif column != "tags":
        frame, keys = read_files.read_interactions(FILES / name, columns, options=options)
        number, first, step = (float, 0, 0.1) if column == "code" else (int, 2**63, 1)
        found = sorted(map(number, keys.values.to_pylist()))
        assert found == pytest.approx([first + step * i for i in range(4)], rel=1e-15)
        assert len(frame) == 40


@pytest.mark.parametrize("name", VIEWS)
def test_what_this_pyarrow_cannot_read_is_refused_with_its_version(name):
    """Arrow files of string views, which older versions of pyarrow cannot read."""
    if VERSION >= (20, 0):
        assert rows_of(read(FILES / name)[0]) == EVENTS
        return
    with pytest.raises(PopSamplerError, match=f"pyarrow {pa.__version__}.*write again as parquet"):
        read(FILES / name)


def test_folders_of_partitions_give_a_column():
    """Regression: `day=2024-05-01` gives items or times; the folder of missing values is null."""
    _, keys = read_files.read_interactions(FILES / "duckdb_days", ("user", "day", "time"))
    assert keys.values.to_pylist() == ["2024-05-01", "2024-05-02"]
    frame, _ = read_files.read_interactions(FILES / "duckdb_days", ("user", "item", "day"))
    assert set(frame["time"]) == {pd.Timestamp("2024-05-01"), pd.Timestamp("2024-05-02")}
    with pytest.raises(PopSamplerError, match=r"no \['month'\] among .*'day'\]"):
        read_files.read_interactions(FILES / "duckdb_days", ("user", "item", "month"))


def test_names_of_partitions_are_decoded(tmp_path):
    """They become numbers only if all names are numbers."""
    table = pa.table({"item": ["a", "b"], "time": [1, 2]})
    for user in ("x%3D%2F1", "7", "__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / "d" / f"user={user}").mkdir(parents=True)
        pq.write_table(table, tmp_path / "d" / f"user={user}" / "0.parquet")
    frame, _ = read(tmp_path / "d")
    assert sorted(frame["session"]) == ["7", "7", "x=/1", "x=/1"]
    shutil.rmtree(tmp_path / "d" / "user=x%3D%2F1")
    assert read(tmp_path / "d")[0]["session"].tolist() == [7, 7]


@pytest.fixture
def table():
    rows = [row for row in events() if row["item"]]
    return pa.table({name: [row[name] for row in rows] for name in COLUMNS})


def write_text(table, name):
    frame = table.to_pandas()
    if "json" in name:
        return frame.to_json(orient="records", lines=True, date_format="iso").encode()
    return frame.to_csv(index=False, sep="\t" if ".tsv" in name else ",").encode()


@pytest.mark.parametrize("codec", ["", ".gz", ".bz2", ".zst", ".lz4"])
@pytest.mark.parametrize(
    "ending",
    [".csv", ".CSV", ".tsv", ".jsonl", ".ndjson", ".json"]
    + [".parquet", ".pq", ".arrow", ".arrows", ".feather", ".ipc"],
)
def test_each_ending_and_compression(ending, codec, table, tmp_path):
    """Regression: each format of the error message, with each compression."""
    sink = pa.BufferOutputStream()
    if ending in (".parquet", ".pq"):
        pq.write_table(table, sink)
    elif ending == ".feather":
        pa.feather.write_feather(table, sink)
    elif ending.startswith((".arrow", ".ipc")):
        new = pa.ipc.new_stream if ending == ".arrows" else pa.ipc.new_file
        with new(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        sink.write(write_text(table, ending))
    path = tmp_path / f"events{ending}{codec}"
    with pa.output_stream(str(path), compression="detect" if codec else None) as file:
        file.write(sink.getvalue())
    assert rows_of(read(path)[0]) == EVENTS
    again = path.rename(tmp_path / "events")
    if codec or ending[1:4] in ("csv", "CSV", "tsv", "jso", "ndj"):
        with pytest.raises(PopSamplerError, match=r"none of these endings"):
            read(again)
    elif ending != ".arrows":  # a stream has no magic bytes at its beginning
        assert rows_of(read(again)[0]) == EVENTS


@pytest.mark.parametrize("name", ["events.xlsx", "events.orc", "events.avro", "events.csv.zip"])
def test_other_formats_are_refused(name, tmp_path):
    """Regression: the message names the formats and flags that exist."""
    (tmp_path / name).write_bytes(b"PK\3\4 something")
    with pytest.raises(PopSamplerError) as error:
        read(tmp_path / name)
    for said in ("parquet", "csv", "--sep", "--encoding", ".jsonl", ".arrow", ".zst"):
        assert said in str(error.value)


@pytest.mark.parametrize("sep", [";", "\t", "|"])
def test_separators_are_asked_for(sep, table, tmp_path):
    """Regression: semicolons and tabs. One column that looks like several raises an error."""
    table.to_pandas().to_csv(tmp_path / "events.csv", index=False, sep=sep)
    with pytest.raises(PopSamplerError, match="--sep"):
        read(tmp_path / "events.csv")
    assert rows_of(read(tmp_path / "events.csv", sep)[0]) == EVENTS


def test_the_flag_takes_one_character(capsys):
    for text, sep in ((";", ";"), ("\\t", "\t"), ("\t", "\t"), ("tab", "\t")):
        assert preprocess.parse_args(["--output", "o", "--sep", text]).sep == sep
    for text in ("", "::", '"', "\n", "é"):
        with pytest.raises(SystemExit):
            preprocess.parse_args(["--output", "o", "--sep", text])
        assert "expected one character" in capsys.readouterr().err


def test_line_breaks_inside_quotes(tmp_path):
    """Regression: the file has several blocks, compressed or not; other quoting is unchanged."""
    lines = [f'u{i % 100},"a ""{i % 7}""\nb,{"x" * 40}",{i}' for i in range(200_000)]
    text = "\n".join(["user,item,time", *lines])
    (tmp_path / "events.csv").write_text(text)
    with gzip.open(tmp_path / "events.csv.gz", "wt", compresslevel=1) as file:
        file.write(text)
    for name in ("events.csv", "events.csv.gz"):
        frame, keys = read(tmp_path / name)
        assert frame["time"].tolist() == [*range(200_000)]
        assert sorted(keys.values.to_pylist()) == [f'a "{i}"\nb,{"x" * 40}' for i in range(7)]


def test_a_folder_of_several_formats_is_refused(table, tmp_path):
    """Its rows would count twice; hidden files and files without rows are ignored."""
    pq.write_table(table, tmp_path / "a.parquet")
    for name in ("_SUCCESS", ".a.parquet.crc", "_metadata"):
        (tmp_path / name).write_bytes(b"x")
    assert rows_of(read(tmp_path)[0]) == EVENTS
    (tmp_path / "a.csv").write_bytes(write_text(table, "a.csv"))
    with pytest.raises(PopSamplerError, match=r"one format.*csv \(.*a.csv\) and parquet"):
        read(tmp_path)
    (tmp_path / "a.parquet").unlink()
    (tmp_path / "part.csv").write_bytes(b"")  # Spark writes it for a partition without rows
    assert rows_of(read(tmp_path)[0]) == EVENTS
    (tmp_path / "README.txt").write_text("not data")
    with pytest.raises(PopSamplerError, match=r"README.txt, which has none of these endings"):
        read(tmp_path)


@pytest.mark.parametrize("log", ["_delta_log", ".hoodie"])
def test_tables_of_versions_are_refused(log, table, tmp_path):
    """Their folders also hold files of deleted and replaced rows."""
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / log).mkdir()
    (tmp_path / log / "0.json").write_text("{}")
    with pytest.raises(PopSamplerError, match=f"{log}.*deleted rows"):
        read(tmp_path)


def test_a_folder_without_data_is_refused(tmp_path):
    with pytest.raises(PopSamplerError, match="a folder without any"):
        read(tmp_path)


def test_a_column_that_one_file_lacks_is_refused(table, tmp_path):
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(table.drop(["item"]), tmp_path / "b.parquet")
    with pytest.raises(PopSamplerError, match=r"in .*b.parquet. Received: no \['item'\]"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["d.csv", "d.arrow"])
def test_two_columns_of_one_name_are_refused(name, table, tmp_path):
    twice = pa.table([*table.columns, table["item"]], [*COLUMNS, "item"])
    if name == "d.csv":
        pa.csv.write_csv(twice, tmp_path / name)
    else:
        with pa.ipc.new_file(str(tmp_path / name), twice.schema) as writer:
            writer.write_table(twice)
    with pytest.raises(PopSamplerError, match=r"several called \['item'\]"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"user": "u", "item": 1, "time": 1}', "{"], "line 2, which is not one JSON object"),
        (["[1, 2]"], "line 1, which is JSON but not an object"),
        (["[" * 100_000], "line 1, which is not one JSON object"),
        (
            [json.dumps({"user": "u", "item": item, "time": 1}) for item in (1, "1")],
            "Column 'item': expected values of one type.*int and str in .*rows 1 to 2",
        ),
        (['{"user": "u", "item": 1e3, "time": 1}', '{"item": true}'], "bool and float"),
        ([f'{{"user": "u", "item": {2**64}, "time": 1}}'], "within 64 bits"),
        (['{"user": "u", "item": "\\ud800", "time": 1}'], "Column 'item'.*surrogates"),
        (['{"user": "u", "time": 1}'], r"no \['item'\] among \['user', 'time'\]"),
    ],
    ids=range(8),
)
def test_json_that_cannot_serve_is_refused(lines, message, tmp_path):
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    with pytest.raises(PopSamplerError, match=message):
        read(tmp_path / "d.jsonl")


def test_json_values_keep_their_types(tmp_path, monkeypatch):
    """Strings that look like numbers or times stay strings, in every block of lines."""
    monkeypatch.setattr("data_files._LINES", 2)
    items = ["7", "2024-05-01", "07", None, "x"]
    rows = [{"user": i, "item": item, "time": i} for i, item in enumerate(items)]
    del rows[3]["item"]
    lines = "\n\n".join(map(json.dumps, rows))
    (tmp_path / "d.jsonl").write_text("\ufeff" + lines, encoding="utf-8")
    frame, _ = read(tmp_path / "d.jsonl")
    assert frame["item_id"].tolist() == ["7", "2024-05-01", "07", "x"]
    rows[4]["item"] = 5
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(PopSamplerError, match="string in .*rows 1 to 2 and int64 in .*rows 5 to 5"):
        read(tmp_path / "d.jsonl")


def test_json_fields_may_be_missing_in_a_whole_file(tmp_path):
    """Regression: Spark writes no nulls, so a file of a folder may lack a field."""
    lines = ['{"user": "u"}', '{"item": "a", "time": 2, "user": "u"}', " "]
    for number, line in enumerate(lines):
        (tmp_path / f"{number}.json").write_text(line + "\n")
    assert read(tmp_path)[0].to_numpy().tolist() == [["u", "a", 2]]
    (tmp_path / "1.json").write_text('{"itme": "a", "time": 2, "user": "u"}\n')
    names = r"\['user', 'itme', 'time'\]"
    with pytest.raises(
        PopSamplerError, match=rf"in {tmp_path}. Received: no \['item'\] among {names}"
    ):
        read(tmp_path)


def test_json_fields_that_a_partition_gives(tmp_path):
    """Missing fields are null only where the name of the folder does not give them."""
    for day, line in ((1, '{"user": "u", "item": "a"}'), (2, '{"user": "u"}')):
        (tmp_path / f"time={day}").mkdir()
        (tmp_path / f"time={day}" / "0.jsonl").write_text(line)
    assert read(tmp_path)[0].to_numpy().tolist() == [["u", "a", 1]]


def test_urls_are_read(table, tmp_path):
    """Any URL of fsspec, file or folder; missing files raise an error of this package."""
    import fsspec

    memory = fsspec.filesystem("memory")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    memory.pipe("/reading/d/day=1/0.parquet", sink.getvalue().to_pybytes())
    memory.pipe("/reading/d/_SUCCESS", b"")
    memory.pipe("/reading/d.csv.gz", gzip.compress(write_text(table, "d.csv")))
    for url in ("memory://reading/d", "memory://reading/d/day=1/0.parquet"):
        assert rows_of(read(url)[0]) == EVENTS
    assert rows_of(read("memory://reading/d.csv.gz")[0]) == EVENTS
    shutil.copytree(FILES / "spark_csv", tmp_path / "spark")
    assert rows_of(read(f"file://{tmp_path}/spark")[0]) == EVENTS
    with pytest.raises(PopSamplerError, match="memory://nothing, not found"):
        read("memory://nothing")
    with pytest.raises(PopSamplerError, match="Expected a path or URL.*Install what fsspec needs"):
        read("unknown-kind://bucket/d.parquet")


def test_times_that_nanoseconds_do_not_reach(tmp_path):
    """Regression: Arrow casts "9999-12-31" to a time of the year 1816 without an error."""
    times = ["9999-12-31", "2024-05-01T10:00:00.123456789", "2024-05-01T10:00:00.12", "1600-01-01"]
    for kind in (pa.large_string(), pa.timestamp("us"), pa.date32()):
        values = pa.array([time[: 26 if kind != pa.date32() else 10] for time in times])
        if kind == pa.large_string():
            values = pa.array(times)
        column = values.cast(pa.timestamp("us")) if kind != pa.large_string() else values
        pq.write_table(
            pa.table([["u"] * 4, [*"abcd"], column.cast(kind, safe=False)], COLUMNS),
            tmp_path / "d.parquet",
        )
        frame, _ = read(tmp_path / "d.parquet")
        assert frame.sort_values("time", kind="stable")["item_id"].tolist()[::3] == ["d", "a"]


def test_times_of_other_orders_are_refused(tmp_path):
    """Regression: large strings and dictionaries count as strings; --time-format is used."""
    text = pa.array(["28/10/2023", "03/01/2024"])
    for column in (text, text.cast(pa.large_string()), text.dictionary_encode()):
        pq.write_table(pa.table([["u"] * 2, [*"ab"], column], COLUMNS), tmp_path / "d.parquet")
        with pytest.raises(PopSamplerError, match="Column 'time': .*--time-format '%d/%m/%Y'"):
            read(tmp_path / "d.parquet")
        frame, _ = read(tmp_path / "d.parquet", time_format="%d/%m/%Y")
        assert frame["time"].dt.month.tolist() == [10, 1]
    compact = pa.array([20231028.0, None, 20240103.0])
    pq.write_table(pa.table([["u"] * 3, [*"abc"], compact], COLUMNS), tmp_path / "d.parquet")
    frame, _ = read(tmp_path / "d.parquet", time_format="%Y%m%d")
    assert frame["time"].dt.day.tolist() == [28, 3]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("events_name", "items_name"),
    [
        ("polars_categorical.parquet", "pandas_items.parquet"),
        ("spark_json", "pandas_items.parquet"),
    ],
)
def test_from_a_tools_files_to_sessions(events_name, items_name, tmp_path):
    """Regression: a dictionary column of users made Dask loop or fail."""
    arguments = ["--data", FILES / events_name, "--output", tmp_path, "--min-count", 1]
    arguments += ["--user-col", "user", "--item-col", "item", "--time-col", "time"]
    arguments += ["--items", FILES / items_name, "--item-features", "price", "tags"]
    preprocess.main([*map(str, arguments), "--valid-share", "0.3"])
    folder = tmp_path / "vocabulary" / "categories"
    keys = pd.read_parquet(folder / "unique.item_id.parquet")["item_id"]
    assert sorted(keys) == ITEMS
    train = pd.concat(map(pd.read_parquet, (tmp_path / "train").glob("*.parquet")))
    cut = sorted(time for _, _, time in EVENTS)[int(39 * 0.7)]
    expected = {}
    for time, user, item in sorted((time, user, item) for user, item, time in EVENTS):
        if time <= cut and item not in expected.setdefault(user, []):
            expected[user].append(item)
    found = {user: [keys[i] for i in ids] for user, ids in zip(train["session"], train["item_id"])}
    assert found == expected
    items = pd.concat(map(pd.read_parquet, (tmp_path / "items").glob("*.parquet")))
    order = [keys[i] for i in items.sort_values("price")["item_id"]]
    assert order == ITEMS
    assert items["price"].dtype == "float32"
