"""Compares columns of all types, in files of different types, with plain Python.

Regression: cases are each pair of a role (users, items, times, keys of `--items`) and a type of
Arrow, and each pair of two types in two files. Values include pairs that readers confuse: floats
and integers, NaN and null, strings up to a NUL, one instant in two zones, equal decimals of two
scales.
"""

import datetime as dt
import decimal
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from merlin_popsampler import PopSamplerError

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
import arrow_types
import preprocess
import read_files

UTC = dt.timezone.utc
NOON = dt.datetime.fromisoformat("2024-03-31T12:00")
DAYS = [NOON + dt.timedelta(days=i) for i in range(6)]
DECIMALS = [decimal.Decimal(text) for text in ("0.5", "1", "2.25", "-3", "10", "0")]
KINDS = {
    "string": (
        ["a", "b\0x", "b\0y", "07", "7", "é\\0"],
        [
            pa.string(),
            pa.large_string(),
            pa.dictionary(pa.int32(), pa.string()),
            pa.dictionary(pa.uint8(), pa.large_string()),
        ],
    ),
    "integer": (
        [1, 2, 3, 5, 100, 0],
        [pa.int8(), pa.uint16(), pa.int64(), pa.float64(), pa.dictionary(pa.int8(), pa.int32())],
    ),
    "large integer": ([2**53, 2**53 + 1, 1, 2, 2**62, 3], [pa.int64(), pa.uint64()]),
    "unsigned": ([2**63, 2**63 + 1, 1, 2, 2**64 - 1, 3], [pa.uint64()]),
    "float": ([0.5, 1.0, 2.0, 1.5, -0.25, 0.0], [pa.float32(), pa.float64()]),
    "decimal": (DECIMALS, [pa.decimal128(5, 2), pa.decimal128(20, 9), pa.decimal256(50, 9)]),
    "date": ([day.date() for day in DAYS], [pa.date32(), pa.date64()]),
    "timestamp": (
        [NOON + dt.timedelta(seconds=i) for i in (5, 3, 1, 0, 60, 7)],
        [*map(pa.timestamp, ("s", "ms", "us", "ns"))],
    ),
    "zoned": (
        [NOON.replace(tzinfo=UTC) + dt.timedelta(hours=i) for i in (5, 3, 1, 0, 60, 7)],
        [
            pa.timestamp("s", "Europe/Paris"),
            pa.timestamp("ns", "UTC"),
            pa.timestamp("us", "+05:30"),
        ],
    ),
    "binary": (
        [b"a\0b", b"a\0c", b"\xff\0\0", b"xyz", b"\0\0\0", b"\\00"],
        [pa.binary(), pa.large_binary(), pa.binary(3), pa.dictionary(pa.int8(), pa.binary())],
    ),
    "boolean": ([True, False], [pa.bool_()]),
    "time of day": ([dt.time(i) for i in (5, 3, 1, 0, 6, 7)], [pa.time32("s"), pa.time64("us")]),
    "duration": (
        [dt.timedelta(seconds=i) for i in (5, 3, 1, 0, 60, 7)],
        [*map(pa.duration, ("s", "us"))],
    ),
}
TOGETHER = [{"integer", "large integer"}, {"integer", "float"}, {"date", "timestamp"}]
TOGETHER += [{"unsigned", "integer"}, {"unsigned", "large integer"}]
"""Pairs of types that two files of one column may have."""
TIMES = ("integer", "large integer", "float", "decimal", "date", "timestamp", "zoned", "duration")
COLUMNS = ("user", "item", "time")


def column(values, kind, rng):
    """Returns an Arrow column; half of the nulls of floats are NaN."""
    if pa.types.is_floating(kind):
        values = [np.nan if v is None and rng.random() < 0.5 else v for v in values]
    if pa.types.is_dictionary(kind):
        codes = pa.array(values, kind.value_type).dictionary_encode()
        return pa.DictionaryArray.from_arrays(codes.indices.cast(kind.index_type), codes.dictionary)
    return pa.array(values, kind)


def drawn(kinds, rng, rows=60):
    """Draws rows of Python values of these types, one in twenty null."""
    pools = [KINDS[kind][0] for kind in kinds]
    return [
        tuple(None if rng.random() < 0.05 else pool[rng.integers(len(pool))] for pool in pools)
        for _ in range(rows)
    ]


def written(folder, rows, kinds, rng, names=COLUMNS, files=3):
    """Writes the rows to files, each with other Arrow types."""
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(rows)), files)):
        arrays = []
        for place, kind in enumerate(kinds):
            types = KINDS[kind][1]
            values = [rows[i][place] for i in part]
            arrays.append(column(values, types[rng.integers(len(types))], rng))
        pq.write_table(pa.table(arrays, names), folder / f"{number}.parquet")
    return folder


def ranks(values):
    """Returns the rank of each value among the distinct ones."""
    order = {value: place for place, value in enumerate(sorted(set(values)))}
    return [order[value] for value in values]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", KINDS)
def test_each_type_says_what_its_values_say(kind, seed, tmp_path):
    """Compares users, items, order of times, and pairs in a partition with plain Python."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    others = rng.choice(list(KINDS), 2)
    kinds = [kind, others[0], rng.choice(TIMES)] if seed % 2 else [others[0], kind, TIMES[seed % 8]]
    rows = drawn(kinds, rng)
    frame, keys = read_files.read_interactions(written(tmp_path / "d", rows, kinds, rng), COLUMNS)
    rows = [row for row in rows if None not in row]
    users, items, times = map(list, zip(*rows))
    assert frame["item_id"].tolist() == items
    assert Counter(keys.values.to_pandas()) == Counter(set(items))
    assert len(set(zip(users, frame["session"]))) == len(set(users)) == frame["session"].nunique()
    assert ranks(frame["time"].tolist()) == ranks(times)
    cut = sorted(times)[int(len(times) * 0.7)]
    if cut == max(times):
        return
    parts = preprocess.order_and_split(frame, 0.3, seed=1)
    session_of = dict(zip(users, frame["session"]))
    for part, later in zip(parts, (False, True)):
        pairs = {(session_of[u], i) for u, i, t in rows if (t > cut) == later}
        assert len(part) == len(pairs)
        assert set(zip(part["session"], part["item_id"])) == pairs


APART = [pair for pair in combinations(KINDS, 2) if set(pair) not in TOGETHER]
ROUNDED = [("large integer", "float"), ("unsigned", "float")]
"""Pairs that are refused as keys; times may be rounded, since they are only sorted."""


@pytest.mark.parametrize(
    ("kinds", "place"),
    [(pair, place) for pair in APART for place in range(2 if pair in ROUNDED else 3)],
    ids=str,
)
def test_kinds_that_cannot_be_compared_are_refused(kinds, place, tmp_path):
    """Regression: the message names the column, two files and both types."""
    rng = np.random.default_rng(17)
    for number, kind in enumerate(kinds):
        all_kinds = ["string", "string", "integer"]
        all_kinds[place] = kind
        written(tmp_path / str(number), drawn(all_kinds, rng), all_kinds, rng, files=1)
    pattern = f"Column '{COLUMNS[place]}'.*(in .*0/0.parquet and .*1/0.parquet|one time a row)"
    with pytest.raises(PopSamplerError, match=pattern):
        read_files.read_interactions(tmp_path, COLUMNS)


@pytest.mark.parametrize("kinds", map(sorted, TOGETHER), ids="+".join)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_kinds_that_can_be_compared_are_read(kinds, place, tmp_path):
    """Each file is read by its own schema: no hours are lost if the first file has dates."""
    rng = np.random.default_rng(17)
    rows = []
    for number, kind in enumerate(kinds):
        all_kinds = ["string", "string", "string"]
        all_kinds[place] = kind
        part = [
            (*row[:2], f"2024-05-{n + 1:02}") for n, row in enumerate(drawn(all_kinds, rng, 28))
        ]
        part = [
            row if place < 2 else (*row[:2], KINDS[kind][0][n % 6]) for n, row in enumerate(part)
        ]
        written(tmp_path / str(number), part, all_kinds, rng, files=1)
        rows += [row for row in part if None not in row]
    if "float" in kinds:  # one type for all, where integers are exact
        rows = [tuple(float(v) if i == place else v for i, v in enumerate(row)) for row in rows]
    if "date" in kinds:
        rows = [(*row[:place], as_time(row[place]), *row[place + 1 :]) for row in rows]
    frame, _ = read_files.read_interactions(tmp_path, COLUMNS)
    assert frame["item_id"].tolist() == [row[1] for row in rows]
    assert ranks(frame["time"].tolist()) == ranks([row[2] for row in rows])
    users = [row[0] for row in rows]
    assert len(set(zip(users, frame["session"]))) == len(set(users)) == frame["session"].nunique()


def as_time(value):
    return value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time())


@pytest.mark.parametrize("kind", KINDS)
def test_items_are_matched_as_values(kind, tmp_path):
    """Regression: keys match by value between related types, never as text; nulls never match."""
    rng = np.random.default_rng(17)
    values, types = KINDS[kind]
    for ours in types:
        data = pa.chunked_array([column([values[0], values[-1], None], ours, rng)])
        pq.write_table(pa.table([["u"] * 3, data, [1, 2, 3]], COLUMNS), tmp_path / "d.parquet")
        frame, keys = read_files.read_interactions(tmp_path / "d.parquet", COLUMNS)
        for theirs in types:
            rows = [*values, None]
            table = pa.table(
                [column(rows, theirs, rng), [*map(str, range(len(rows)))]], ["item", "x"]
            )
            pq.write_table(table, tmp_path / "i.parquet")
            read, _ = read_files.read_items(tmp_path / "i.parquet", "item", ["x"], keys)
            assert dict(zip(read["key"], read["x"])) == {
                values[0]: "0",
                values[-1]: str(len(values) - 1),
            }
            assert read["key"].dtype == frame["item_id"].dtype


@pytest.mark.parametrize(
    "kinds", [pair for pair in combinations(KINDS, 2) if set(pair) not in TOGETHER]
)
def test_items_of_another_kind_are_refused(kinds, tmp_path):
    """Regression: "1" is not 1, nor is True; the message names both files and types."""
    rng = np.random.default_rng(17)
    for name, kind in zip(("d", "i"), kinds):
        written(tmp_path / name, [(v, v, 1) for v in KINDS[kind][0]], [kind] * 2 + ["integer"], rng)
    _, keys = read_files.read_interactions(tmp_path / "d", COLUMNS)
    with pytest.raises(PopSamplerError, match="Column 'item'.*/d and .*/i"):
        read_files.read_items(tmp_path / "i", "item", ["user"], keys)


def test_nothing_is_lost_between_files_of_floats_and_integers(tmp_path):
    """Regression: a null turns integers into floats, which are rounded beyond 2**53."""
    for number, (value, kind) in enumerate([(2**60 + 1, pa.int64()), (7.0, pa.float64())]):
        table = pa.table([["u"], pa.array([value], kind), [1]], COLUMNS)
        pq.write_table(table, tmp_path / f"{number}.parquet")
    frame, _ = read_files.read_interactions(tmp_path, COLUMNS)
    assert frame["item_id"].tolist() == [2**60 + 1, 7]
    for value, kind, message in (
        (0.5, pa.float64(), "int64 in .*0.parquet and double in .*1.parquet"),
        (2.0**53, pa.float64(), r"floats below 2\*\*53"),
        (2.0**24, pa.float32(), r"floats below 2\*\*24"),
        (np.inf, pa.float64(), r"floats below 2\*\*53.*inf"),
        (-np.inf, pa.float64(), r"floats below 2\*\*53.*inf"),
    ):
        table = pa.table([["u"], pa.array([value], kind), [1]], COLUMNS)
        pq.write_table(table, tmp_path / "1.parquet")
        with pytest.raises(PopSamplerError, match=f"Column 'item'.*{message}"):
            read_files.read_interactions(tmp_path, COLUMNS)


class Named(pa.ExtensionType):
    """Stands for the extension types that tools define, such as Arrow's own UUIDs."""

    def __init__(self, storage):
        super().__init__(storage, "tests.named")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        return cls(storage)


def test_extension_and_run_length_types_are_read(tmp_path):
    """Regression: UUIDs in the events are 16 bytes in --items."""
    codes = [bytes([i] * 16) for i in range(4)]
    named = pa.ExtensionArray.from_storage(Named(pa.binary(16)), pa.array(codes, pa.binary(16)))
    users = pa.RunEndEncodedArray.from_arrays([2, 4], ["ann", "bob"])
    table = pa.table([users, named, [1, 2, 3, 4]], COLUMNS)
    with pa.ipc.new_file(str(tmp_path / "d.arrow"), table.schema) as writer:
        writer.write_table(table)
    frame, keys = read_files.read_interactions(tmp_path / "d.arrow", COLUMNS)
    assert frame["session"].tolist() == ["ann", "ann", "bob", "bob"]
    assert frame["item_id"].tolist() == codes
    pq.write_table(pa.table({"item": codes, "x": [*"abcd"]}), tmp_path / "i.parquet")
    read, _ = read_files.read_items(tmp_path / "i.parquet", "item", ["x"], keys)
    assert read["x"].tolist() == [*"abcd"]


STORAGES = [
    (pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"]), ["a", "a", "b"]),
    (pa.array(["a", None, "b"]).dictionary_encode(), ["a", None, "b"]),
    (pa.array(np.array([1, 2, 3], "float16")), [1, 2, 3]),
    (pa.array([1, 2, 3], pa.uint8()), [1, 2, 3]),
]


@pytest.mark.parametrize(("storage", "values"), STORAGES, ids=[str(s.type) for s, _ in STORAGES])
def test_extensions_of_any_storage_become_their_values(storage, values):
    """Regression: Arrow casts an extension itself, unless runs are stored in it."""
    storage = pa.ExtensionArray.from_storage(Named(storage.type), storage)
    assert arrow_types.plain(pa.chunked_array([storage])).to_pylist() == values


MISSING = [pa.nulls(3, kind) for kind in (pa.null(), pa.string(), pa.int32(), pa.float64())]
MISSING += [pa.array([np.nan] * 3), pa.nulls(0, pa.timestamp("ns"))]


def id_of(missing):
    return f"{len(missing)} {missing.type} {missing.null_count}"


@pytest.mark.parametrize("missing", MISSING, ids=id_of)
@pytest.mark.parametrize("first", [0, 2])
def test_a_file_without_values_has_any_type(missing, first, tmp_path):
    """Regression: pandas writes missing strings as NaN, and other tools by the types of frames."""
    size = len(missing)
    rows = [["u"] * size, missing, range(size)]
    pq.write_table(pa.table(rows, COLUMNS), tmp_path / f"{first}.parquet")
    pq.write_table(pa.table([["u"] * 2, ["a", "b"], [1, 2]], COLUMNS), tmp_path / "1.parquet")
    frame, _ = read_files.read_interactions(tmp_path, COLUMNS)
    assert frame["item_id"].tolist() == ["a", "b"]


@pytest.mark.parametrize("missing", [*MISSING, pa.nulls(3, pa.list_(pa.int8()))], ids=id_of)
def test_a_feature_without_values_in_one_file_has_any_type(missing, tmp_path):
    keys = pa.array(["x", "y", "z"][: len(missing)], pa.string())
    pq.write_table(pa.table([keys, missing], ["item", "brand"]), tmp_path / "0.parquet")
    pq.write_table(pa.table([["a", "b"], ["soy", None]], ["item", "brand"]), tmp_path / "1.parquet")
    items = read_files.ItemKeys(pa.array(["a", "b", "x"], pa.large_string()), False, "events")
    read, numbers = read_files.read_items(tmp_path, "item", ["brand"], items)
    assert read["brand"].isna().tolist() == [False] + [True] * (len(read) - 1)
    assert read["brand"][0] == "soy"
    assert not numbers


def test_nothing_but_missing_values_has_the_type_of_the_first_file():
    """The caller raises the error, since it knows what is missing."""
    parts = [arrow_types.Part("f", pa.chunked_array([values])) for values in MISSING[:3]]
    assert arrow_types.joined(parts, "x").equals(pa.chunked_array([pa.nulls(9)]))
    assert arrow_types.joined([], "x").equals(pa.chunked_array([], pa.null()))


LISTS = [
    (pa.array([["a", "b"]] * 3), "list<element: string>"),
    (pa.array([[1]] * 3, pa.large_list(pa.int64())), "large_list<element: int64>"),
    (pa.array([[1.5]] * 3, pa.list_(pa.float32(), 1)), "fixed_size_list"),
    (pa.array([{"id": 1}] * 3), "struct<id: int64>"),
    (pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64())), "map<string, int64"),
]


@pytest.mark.parametrize(("values", "says"), LISTS, ids=[says for _, says in LISTS])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_lists_and_structs_are_not_keys(values, says, place, tmp_path):
    """Regression: sessions that are already grouped are refused; also lists as users or times."""
    arrays = [pa.array(["u", "v", "w"]), pa.array([1, 2, 3]), pa.array([1, 2, 3])]
    arrays[place] = values
    pq.write_table(pa.table(arrays, COLUMNS), tmp_path / "d.parquet")
    what = ("user", "item", "time")[place]
    with pytest.raises(
        PopSamplerError, match=f"Column '{what}': expected one {what} a row.*{says}"
    ):
        read_files.read_interactions(tmp_path / "d.parquet", COLUMNS)


def features(tmp_path, values):
    keys = [*map(str, range(len(values)))]
    pq.write_table(pa.table({"item": keys, "x": values}), tmp_path / "i.parquet")
    items = read_files.ItemKeys(pa.array(keys, pa.large_string()), False, "events")
    read, numbers = read_files.read_items(tmp_path / "i.parquet", "item", ["x"], items)
    return read["x"].tolist(), numbers


@pytest.mark.parametrize(
    "values",
    [values for values, _ in LISTS[2:]]
    + [pa.array([[["a"]]] * 3), pa.array([[{"a": 1}]] * 3), pa.array([[decimal.Decimal(1)]] * 3)],
    ids=lambda values: str(values.type),
)
def test_vectors_and_structs_are_not_features(values, tmp_path):
    """Regression: a vector must not become categories, nor a struct Arrow's error."""
    with pytest.raises(PopSamplerError, match="Column 'x': expected a number, a category"):
        features(tmp_path, values)


def test_features_are_numbers_or_text(tmp_path):
    """Decimals with digits after the point are numbers, as DuckDB and Spark write amounts."""
    prices = [decimal.Decimal("1.50"), None, decimal.Decimal("2.25")]
    assert str(features(tmp_path, pa.array(prices))) == str(([1.5, np.nan, 2.25], ["x"]))
    half = pa.array([np.float16(0.5), None, np.float16(2)], pa.float16())
    assert str(features(tmp_path, half)[0]) == "[0.5, nan, 2.0]"
    for values, words in (
        (pa.array([3, None, 2**60 + 1]), ["3", None, str(2**60 + 1)]),
        (pa.array([decimal.Decimal(3), None, decimal.Decimal(7)]), ["3", None, "7"]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array([True, None, False]), ["true", None, "false"]),
        (pa.array([b"\xff", None, b"a"]), ["ff", None, "61"]),
        (pa.array([dt.date(2024, 5, 1)] * 2), ["2024-05-01"] * 2),
        (pa.array([dt.timedelta(days=1)] * 2), ["1 day, 0:00:00"] * 2),
    ):
        found, numbers = features(tmp_path, values)  # pandas 3 has NaN for a missing string
        assert [None if pd.isna(value) else value for value in found] == words and not numbers
    lists, _ = features(tmp_path, pa.array([[1, None], [], None]))
    assert str([None if row is None else list(row) for row in lists]) == "[['1', None], [], None]"


def test_infinite_numbers_count_as_missing(tmp_path, capsys):
    """Regression: values beyond float32 count as missing, too, and are printed; NaN is not."""
    values = pa.array([1.0, np.inf, -np.inf, 1e39, np.nan, None, -2.0])
    found, numbers = features(tmp_path, values)
    assert numbers == ["x"]
    assert pd.Series(found).dropna().tolist() == [1.0, -2.0]
    assert "3 values of 'x' are infinite in" in capsys.readouterr().out
    assert features(tmp_path, pa.array([1.0, np.nan]))[1] == ["x"]
    assert "are infinite in" not in capsys.readouterr().out


def test_rows_that_are_not_numbers_are_counted_as_missing(tmp_path, capsys):
    """Regression: NaN in users, items and times counts as null."""
    table = pa.table(
        [[1.0, np.nan, 2.0, 3.0], [1.5, 2.5, np.nan, None], [1.0, 2.0, 3.0, np.nan]], COLUMNS
    )
    pq.write_table(table, tmp_path / "d.parquet")
    frame, _ = read_files.read_interactions(tmp_path / "d.parquet", COLUMNS)
    assert frame.to_numpy().tolist() == [[1, 1.5, 1]]
    assert "left out 3 rows" in capsys.readouterr().out


def test_strings_that_differ_behind_a_nul_are_two(tmp_path):
    """Regression: pandas' hash tables and groups end strings at a NUL."""
    rows = [(f"u\0{i % 5}", f"i\0{i % 75}", i) for i in range(750)]
    pq.write_table(pa.table([*zip(*rows)], COLUMNS), tmp_path / "d.parquet")
    frame, _ = read_files.read_interactions(tmp_path / "d.parquet", COLUMNS)
    parts = preprocess.order_and_split(frame, 0.5, 1)
    assert [len(part) for part in parts] == [75, 75]
    assert preprocess.with_pairs(parts[0], "training")["session"].nunique() == 5


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("user", "item"),
    [
        ("zoned", "decimal"),
        ("unsigned", "float"),
        ("decimal", "binary"),
        ("binary", "date"),
        ("string", "string"),
        ("float", "zoned"),
        ("boolean", "unsigned"),
    ],
)
def test_each_kind_becomes_sessions_and_ids(user, item, tmp_path):
    """Regression: compares the whole program, with item features, with plain Python."""
    rng = np.random.default_rng(17)
    kinds = [user, item, "timestamp"]
    start = dt.datetime.fromisoformat("2024-01-01")
    drawn_rows = drawn(kinds, rng, 200)
    rows = [(*row[:2], start + dt.timedelta(hours=i)) for i, row in enumerate(drawn_rows)]
    written(tmp_path / "d", rows, kinds, rng)
    values, types = KINDS[item]
    table = pa.table(
        [column(values, types[-1], rng), [*map(str, range(len(values)))]], ["item", "x"]
    )
    pq.write_table(table, tmp_path / "i.parquet")
    arguments = ["--data", tmp_path / "d", "--items", tmp_path / "i.parquet"]
    arguments += ["--item-features", "x", "--output", tmp_path / "out", "--min-count", 1]
    arguments += ["--user-col", "user", "--item-col", "item", "--time-col", "time"]
    preprocess.main([*map(str, arguments)])

    rows = [row for row in rows if None not in row]
    sessions = {}
    for key, value, _ in rows[: int(len(rows) * 0.9) + 1]:
        sessions.setdefault(key, {})[value] = None
    vocabulary = tmp_path / "out" / "vocabulary" / "categories"
    keys = pd.read_parquet(vocabulary / "unique.item_id.parquet")["item_id"]
    train = pd.concat(map(pd.read_parquet, (tmp_path / "out" / "train").glob("*.parquet")))
    found = [tuple(keys[i] for i in ids) for ids in train["item_id"]]
    assert Counter(map(frozenset, found)) == Counter(map(frozenset, sessions.values()))
    frequencies = Counter(value for each in sessions.values() for value in each)
    by_id = [frequencies[key] for key in keys]
    assert by_id == sorted(frequencies.values(), reverse=True)
    items = pd.concat(map(pd.read_parquet, (tmp_path / "out" / "items").glob("*.parquet")))
    names = pd.read_parquet(vocabulary / "unique.x.parquet")["x"]
    assert {keys[i]: names[x] for i, x in zip(items["item_id"], items["x"])} == {
        value: str(values.index(value)) for value in frequencies
    }
