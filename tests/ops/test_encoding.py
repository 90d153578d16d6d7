"""Compares ids with dictionaries and a hash in plain Python."""

from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops import encoding, lookup
from merlin_popsampler.ops.counting import count_keys
from merlin_popsampler.ops.encoding import encode
from merlin_popsampler.ops.keys import columns
from merlin_popsampler.ops.keys.columns import KeyGroup, as_lists
from merlin_popsampler.ops.vocabulary import VocabularyOptions, stage
from merlin_popsampler.store import filesystem
from merlin_popsampler.store.artifact import FitFolder
from tests.support.workflow_helpers import expected_ids, forget_vocabularies

WAYS = [
    ("index", False),
    ("index", True),
    ("one by one", False),
    ("part by part", False),
    ("join", True),
]
"""Ways of looking keys up, with and without deduplication of objects."""


@pytest.fixture(params=WAYS, autouse=True, ids=lambda way: way[0] + ", shared" * way[1])
def way(request, monkeypatch):
    """Runs a test with each way of looking keys up, including that for GPUs."""
    found, shared = request.param
    monkeypatch.setattr(columns, "_are_shared", lambda values: shared)
    monkeypatch.setattr(encoding, "_FEW", 10**6 if found == "one by one" else 0)
    if found == "join":
        monkeypatch.setattr(encoding, "positions", lookup.joined)
    with dask.config.set({lookup.BUDGET: 0 if found == "part by part" else "1 GB"}):
        yield found


ITEM = KeyGroup("item", ("item",), joint=False)
PAIR = KeyGroup("a_b", ("a", "b"), joint=False)
JOINT = KeyGroup("a_b", ("a", "b"), joint=True)


def vocabulary_of(keys, folder, group=ITEM, **layout):
    """Writes the vocabulary of these keys, which are tuples for a combination."""
    rows = [key if isinstance(key, tuple) else (key,) for key in keys]
    columns = group.columns if not group.joint else group.columns[:1]
    frame = pd.DataFrame(rows, columns=columns)
    one = KeyGroup(group.name, tuple(columns), group.joint)
    layout = VocabularyOptions(**layout)
    ddf, name = dd.from_pandas(frame, npartitions=1), group.name
    counts = count_keys(ddf, [one], {name: 8}, {name: layout.split_out})
    staged = stage(counts[name], group, layout, FitFolder(str(folder), "fit"))
    return staged.compute(scheduler="synchronous")


def as_ids(frame, vocabulary, group=ITEM, columns=("item",), dtype="int64"):
    column = pd.Series(encode(frame, group, columns, vocabulary, np.dtype(dtype)))
    return column.tolist()


WORDS = ["c", "a", "a", "b", "b", "b"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a", "b", "c"], [4, 3, 5]),
        (["new", "b", None, "a", np.nan, ""], [2, 3, 1, 4, 1, 2]),
        ([None, None], [1, 1]),
        (["new"], [2]),
        (["b", "\ud800"], [3, 2]),
        (["b", None], [3, 1]),
        ([], []),
    ],
)
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_known_unknown_and_null_keys(tmp_path, given, expected, dtype):
    vocabulary = vocabulary_of(WORDS, tmp_path)
    frame = pd.DataFrame({"item": pd.Series(given, dtype=object)})
    found = encode(frame, ITEM, ["item"], vocabulary, np.dtype(dtype))
    assert found.dtype == dtype
    assert list(found) == expected


def test_plain_keys_make_no_arrays(tmp_path, way, monkeypatch):
    """A server asks for single rows, most of which it knows."""
    vocabularies = [vocabulary_of(keys, tmp_path / str(keys[0])) for keys in (WORDS, [7, 5, 5])]
    monkeypatch.setattr(encoding, "_ids", lambda *given: pytest.fail("an array"))
    if way == "one by one":
        assert as_ids(pd.DataFrame({"item": ["c"]}), vocabularies[0]) == [5]
        assert as_ids(pd.DataFrame({"item": ["a", "b", "a"]}), vocabularies[0]) == [4, 3, 4]
        assert as_ids(pd.DataFrame({"item": np.array([7, 5], "int8")}), vocabularies[1]) == [4, 3]
    else:
        with pytest.raises(pytest.fail.Exception, match="an array"):
            as_ids(pd.DataFrame({"item": ["c"]}), vocabularies[0])


def test_rows_keep_their_order_under_any_index(tmp_path, rng):
    """Index labels may be shuffled, repeated or strings, and say nothing about positions."""
    vocabulary = vocabulary_of(WORDS, tmp_path)
    keys = rng.choice(np.array(["a", "b", "c", "new", None], object), 60)
    ids = {**expected_ids(WORDS), "new": 2, None: 1}
    expected = [ids[key] for key in keys]
    for index in (range(60), rng.permutation(60), [7] * 60, [f"row {i % 9}" for i in range(60)]):
        frame = pd.DataFrame({"item": keys}, index=index)
        given = frame.copy()
        assert as_ids(frame, vocabulary) == expected
        pd.testing.assert_frame_equal(frame, given)


def test_equal_strings_have_one_id_even_as_distinct_objects(tmp_path, rng):
    words = [f"word {number % 3}" for number in range(10)]
    vocabulary = vocabulary_of(words, tmp_path)
    held = [*words, "new", None, np.nan]
    ids = {**expected_ids(words), "new": 2}
    keys = [held[place] for place in rng.integers(0, len(held), 3000)]
    assert as_ids(pd.DataFrame({"item": keys}), vocabulary) == [ids.get(key, 1) for key in keys]


def test_an_empty_vocabulary_knows_nothing(tmp_path):
    vocabulary = vocabulary_of([], tmp_path)
    assert as_ids(pd.DataFrame({"item": ["a", None, "b"]}), vocabulary) == [2, 1, 2]


@pytest.mark.parametrize("split_out", [1, 3])
def test_split_vocabularies_are_one(tmp_path, rng, split_out):
    keys = (rng.zipf(1.4, 400) % 40).tolist()
    vocabulary = vocabulary_of(keys, tmp_path, split_out=split_out)
    ids = expected_ids(keys)
    given = [*range(-3, 45)]
    found = as_ids(pd.DataFrame({"item": given}), vocabulary)
    assert found == [ids.get(key, 2) for key in given]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([[7, 5], [], [5, 9, 7]], [[4, 3], [], [3, 2, 4]]),
        ([[7, None], None, [5]], [[4, 1], [], [3]]),
        ([None, [None], [9]], [[], [1], [2]]),
    ],
)
def test_lists(tmp_path, given, expected):
    vocabulary = vocabulary_of([[5, 5, 7]], tmp_path)
    frame = pd.DataFrame({"item": given}, index=range(9, 9 - len(given), -1))
    found = encode(frame, ITEM, ["item"], vocabulary, np.dtype("int32"))
    assert [list(row) for row in found] == expected
    assert found.index.tolist() == frame.index.tolist()
    assert all(row.dtype == "int32" for row in found if len(row))


def test_single_keys_of_a_column_of_lists(tmp_path):
    vocabulary = vocabulary_of([["a", "b"], ["a"]], tmp_path)
    with pytest.raises(PopSamplerError, match="Received: single keys, where the fit .* lists"):
        as_ids(pd.DataFrame({"item": ["a"]}), vocabulary)


def test_lists_are_built_from_the_lengths_of_the_old_ones():
    old = pd.Series([[1, 2], None, [], [3]], index=[4, 2, 2, 0])
    new = as_lists(old, np.array([7, 8, 9]), np.dtype("int64"))
    assert [list(row) for row in new] == [[7, 8], [], [], [9]]
    assert new.index.tolist() == [4, 2, 2, 0]


def test_combinations_are_known_whole_or_not_at_all(tmp_path):
    """A row is null only if all of its keys are; otherwise a null is one of its keys."""
    keys = [(1, "x")] * 3 + [(2, "x")] * 2 + [(2, None)]
    vocabulary = vocabulary_of(keys, tmp_path, PAIR)
    given = {(1, "x"): 3, (2, "x"): 4, (2, None): 5, (1, None): 2, (3, "x"): 2, (None, None): 1}
    frame = pd.DataFrame(list(given), columns=["left", "right"])
    assert as_ids(frame, vocabulary, PAIR, ("left", "right")) == list(given.values())
    words = vocabulary_of([("s", "x"), ("s", "y"), ("t", "y")], tmp_path / "words", PAIR)
    frame = pd.DataFrame([("s", "y"), ("t", "x")], columns=["a", "b"])
    assert as_ids(frame, words, PAIR, ("a", "b")) == [4, 2]


def test_columns_of_a_joint_group_share_the_ids(tmp_path):
    vocabulary = vocabulary_of([5, 5, 7], tmp_path, JOINT)
    frame = pd.DataFrame({"a": [7, 5], "b": [5.0, np.nan]})
    assert as_ids(frame, vocabulary, JOINT, ("a",)) == [4, 3]
    assert as_ids(frame, vocabulary, JOINT, ("b",)) == [3, 1]


MASK = 2**64 - 1


def mixed(value):
    """Hashes an integer as pandas does: splitmix64's finalizer."""
    value &= MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def labelled(hashed):
    """Combines a hash with that of index label 0, as pandas combines those of a tuple."""
    result, factor = 0x345678, 1000003
    for left, part in ((2, hashed), (1, mixed(0))):
        result = (result ^ part) * factor & MASK
        factor += 82520 + 2 * left
    return (result + 97531) & MASK


def bucket(*keys):
    """Returns the bucket of a row of integers: the exclusive or of the hashes of its columns."""
    result = 0
    for key in keys:
        result ^= labelled(mixed(key))
    return result


@pytest.mark.parametrize("num_buckets", [2, 5, 64])
def test_unknown_keys_are_hashed(tmp_path, rng, num_buckets):
    known = (rng.zipf(1.4, 300) % 20).tolist()
    vocabulary = vocabulary_of(known, tmp_path, num_buckets=num_buckets)
    ids = expected_ids(known, min_id=2 + num_buckets)
    given = rng.permutation(np.arange(-50, 200)).tolist()
    frame = pd.DataFrame({"item": given}, index=rng.permutation(len(given)))
    expected = [ids.get(key, 2 + bucket(key) % num_buckets) for key in given]
    assert len({i for i in expected if i < 2 + num_buckets}) > num_buckets // 2
    assert as_ids(frame, vocabulary) == expected
    assert as_ids(frame.iloc[7:90], vocabulary) == expected[7:90]
    # pandas hashes floats and equal integers differently
    assert as_ids(frame.astype(float), vocabulary) == expected


def test_unknown_combinations_are_hashed(tmp_path):
    vocabulary = vocabulary_of([(1, 1), (1, 1), (2, 1)], tmp_path, PAIR, num_buckets=7)
    ids = {(1, 1): 9, (2, 1): 10}
    given = [(a, b) for a in range(6) for b in range(6) if a != b or a == 1]
    expected = [ids.get(pair, 2 + bucket(*pair) % 7) for pair in given]
    frame = pd.DataFrame(given, columns=["left", "right"])
    assert as_ids(frame, vocabulary, PAIR, ("left", "right")) == expected


@pytest.mark.parametrize("name", ["id", "order", "key 1", "_popsampler_id", "size"])
def test_columns_of_any_name(tmp_path, name):
    group = KeyGroup(f"{name}_b", (name, "b"), joint=False)
    vocabulary = vocabulary_of([(1, 1), (1, 1), (2, 1)], tmp_path, group)
    frame = pd.DataFrame({name: [2, 1, 5], "b": [1, 1, 1]})
    assert as_ids(frame, vocabulary, group, (name, "b")) == [4, 3, 2]


@pytest.mark.parametrize("num_buckets", [1, 997])
def test_ids_of_combinations_do_not_depend_on_other_rows(tmp_path, num_buckets):
    """The id of a combination does not depend on nulls and dtypes of neighbouring rows."""
    known = [(1, "a\0b"), (1, "a\0b"), (2, "a\0c"), (None, "a\0b"), (2, None)]
    vocabulary = vocabulary_of(known, tmp_path, PAIR, num_buckets=num_buckets)
    first = 2 + num_buckets
    order = [known[0], (None, "a\0b"), (2, None), (2, "a\0c")]
    ids = {key: first + rank for rank, key in enumerate(order)}
    asked = [
        *order,
        (1, "a\0c"),
        (None, "z"),
        (2.5, "z"),
        (2**53 + 1, None),
        (2, "a"),
        (None, None),
    ]

    def found(rows):
        columns = {name: pd.Series(keys, dtype=object) for name, keys in zip("lr", zip(*rows))}
        return as_ids(pd.DataFrame(columns), vocabulary, PAIR, ("l", "r"))

    alone = [found([row])[0] for row in asked]
    assert alone[:4] == [ids[row] for row in asked[:4]] and alone[-1] == 1
    assert all(2 <= bucket < first for bucket in alone[4:-1])
    assert found(asked) == alone and found(asked[::-1]) == alone[::-1]
    numbers = pd.DataFrame({"l": [1.0, np.nan, 2.0], "r": ["a\0b", "a\0b", np.nan]})
    assert as_ids(numbers, vocabulary, PAIR, ("l", "r")) == [ids[row] for row in order[:3]]


@pytest.mark.parametrize("split_out", [1, 2])
def test_bools_next_to_nulls(split_out, tmp_path):
    known = [(True, "a")] * 4 + [(None, "a")] * 3 + [(False, "b")] * 2 + [(True, None)]
    vocabulary = vocabulary_of(known, tmp_path, PAIR, split_out=split_out)
    for rows in (known, [row for row in known if row[0] is not None], [(None, "a"), (None, "b")]):
        frame = pd.DataFrame({"l": pd.Series([row[0] for row in rows], dtype=object)})
        frame["r"] = [row[1] for row in rows]
        ids = {row: 3 + rank for rank, row in enumerate(dict.fromkeys(known))}
        assert as_ids(frame, vocabulary, PAIR, ("l", "r")) == [ids.get(row, 2) for row in rows]


def test_a_part_of_which_only_nulls_are_known(tmp_path):
    vocabulary = vocabulary_of([(1, None), (2, None), (1, None)], tmp_path, PAIR)
    frame = pd.DataFrame({"l": [1, 2, 1], "r": [None, None, "new"]})
    assert as_ids(frame, vocabulary, PAIR, ("l", "r")) == [3, 4, 2]
    frame = pd.DataFrame({"l": [1, 1], "r": [5, 6]})
    assert as_ids(frame, vocabulary, PAIR, ("l", "r")) == [2, 2]


def test_keys_that_the_dtype_cannot_hold_are_unknown(tmp_path):
    vocabulary = vocabulary_of([5, 5, 7], tmp_path)
    frame = pd.DataFrame({"item": [5.0, 5.5, 7.0, -0.0, np.nan]})
    assert as_ids(frame, vocabulary) == [3, 2, 4, 2, 1]
    with pytest.raises(PopSamplerError, match="'item'.*vocabulary's type"):
        as_ids(pd.DataFrame({"item": ["five"]}), vocabulary)


@pytest.mark.parametrize("requests", [[2.0**53], [True], [2.0**53 + 2], ["9007199254740992"]])
def test_requests_that_pandas_would_take_for_other_keys_are_refused(tmp_path, requests):
    vocabulary = vocabulary_of([2**53, 2**53, 2**53 + 1, 1], tmp_path)
    exact = pd.DataFrame({"item": [2**53 + 1, 2**53, 1, 2**53 + 2]})
    assert as_ids(exact, vocabulary) == [5, 3, 4, 2]
    with pytest.raises(PopSamplerError, match="'item'"):
        as_ids(pd.DataFrame({"item": pd.Series(requests, dtype=object)}), vocabulary)


def test_strings_are_not_times(tmp_path):
    vocabulary = vocabulary_of([pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-01")], tmp_path)
    days = pd.to_datetime(pd.Series(["2020-01-01", "2020-01-02", "2020-01-03", None]))
    assert as_ids(pd.DataFrame({"item": days}), vocabulary) == [3, 4, 2, 1]
    with pytest.raises(PopSamplerError, match="'item'.*datetime.*string"):
        as_ids(pd.DataFrame({"item": ["2020-01-01"]}), vocabulary)


def test_files_are_read_once_and_never_mixed_up(tmp_path, way):
    """A cache keyed by the path alone would return a vocabulary that was replaced."""
    forget_vocabularies()
    frame = pd.DataFrame({"item": ["a", "b"]})
    first = vocabulary_of(["a", "a", "b"], tmp_path)
    assert as_ids(frame, first) == [3, 4]
    second = vocabulary_of(["a", "b", "b"], tmp_path)
    assert second.path("unique") == first.path("unique")
    assert [as_ids(frame, second) for _ in range(2)] == [[4, 3]] * 2
    if way != "part by part":
        assert as_ids(frame, first) == [3, 4]  # from the cache, since its file was removed
    forget_vocabularies()
    with pytest.raises(PopSamplerError, match="digest"):
        as_ids(frame, first)


def test_what_is_checked_is_what_is_read(tmp_path, monkeypatch):
    """The file is read once, since another process may write between two reads."""
    forget_vocabularies()
    vocabulary = vocabulary_of(["a", "a", "b"], tmp_path)
    reads, read = [], filesystem.read_bytes

    def once(path):
        content = read(path)
        reads.append(path)
        Path(path).write_bytes(b"another")
        return content

    monkeypatch.setattr(filesystem, "read_bytes", once)
    assert as_ids(pd.DataFrame({"item": ["a", "b"]}), vocabulary) == [3, 4]
    assert reads == [vocabulary.path("unique")]
