"""Columns of an item table: what is read, what is refused, where it is kept."""

import numpy as np
import pandas as pd
import pytest

tf = pytest.importorskip("tensorflow")

from tensorflow.python.framework import kernels

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.tf.merlin_models.item_columns import Column, Store
from tests.support.item_tables import MIN_ID, by_hand, frame_of, table_of

FRAME = frame_of(40)
DOMAIN = IdDomain(MIN_ID, MIN_ID + 39)


def refused(match, frame=FRAME, **options):
    with pytest.raises(PopSamplerError, match=match):
        table_of(frame, **{"domain": DOMAIN, **options})


@pytest.mark.parametrize("npartitions", [1, 3])
def test_ids_without_a_row_are_named(npartitions):
    lacking = FRAME[~FRAME["item"].isin([3, 9, 42])]
    refused("Column 'item'.*3 to 42.*none for 3, 9, 42. Add", lacking, npartitions=npartitions)
    few = FRAME[FRAME["item"].isin([3, 42])]
    refused("none for 4, 5, 6, 7, 8 and 33 more", few, npartitions=npartitions)


@pytest.mark.parametrize("npartitions", [1, 3])
def test_ids_of_several_rows_are_named(npartitions):
    """In one part of the data or in several."""
    double = pd.concat([FRAME, FRAME[FRAME["item"].isin([7, 30])]])
    refused("Column 'item'.*several for 7, 30. Keep", double, npartitions=npartitions)


def test_ids_of_other_items_are_refused():
    refused("0 to 42. Received: -7, -1", pd.concat([FRAME, FRAME.assign(item=[-1, -7] * 20)]))
    refused("0 to 42. Received: 50, 2000", pd.concat([FRAME, FRAME.assign(item=[50, 2000] * 20)]))
    for raw in (FRAME["item"].astype(str), FRAME["item"].astype(float)):
        refused("Column 'item': expected encoded ids.*Workflow.transform", FRAME.assign(item=raw))


def test_unsigned_and_narrow_ids():
    for dtype in (np.uint8, np.int16, np.uint64):
        batch = table_of(FRAME.astype({"item": dtype})).features([3, 42])
        assert batch["item"].dtype == dtype
        np.testing.assert_array_equal(batch["color"], by_hand(FRAME, [3, 42])["color"])


def test_missing_values_are_refused():
    """One would do: it is drawn sooner or later, and makes every weight NaN."""
    refused("'price': .*1 missing", FRAME.assign(price=FRAME["price"].mask(FRAME["item"] == 7)))
    refused("'color': .*2 missing", FRAME.assign(color=FRAME["color"].mask(FRAME["item"] > 40)))
    lists = FRAME["tags"].copy()
    lists.iloc[3] = None
    refused("'tags': .*1 missing", FRAME.assign(tags=lists))
    lists.iloc[3] = np.array([1.0, np.nan, np.nan])
    refused("'tags': .*2 missing", FRAME.assign(tags=lists))
    unknown = pd.concat([FRAME, FRAME[:3].assign(item=2, price=[np.nan, 1, 2], tags=None)])
    batch = table_of(unknown, domain=DOMAIN).features([3, 42])
    np.testing.assert_array_equal(batch["price"], by_hand(FRAME, [3, 42])["price"])


def test_what_is_no_number_is_refused():
    refused("'color'.*object, such as 'red'", FRAME.assign(color="red"))
    lists = pd.Series([["a"]] * len(FRAME))
    refused("'tags'.*object, such as 'a'", FRAME.assign(tags=lists))
    table = table_of(FRAME.assign(color="red"), columns=["item", "tags"])
    assert table.columns == ("item", "tags")


def test_lists_are_as_long_as_the_schema_says():
    lists = FRAME["pair"].copy()
    lists.iloc[5] = np.array([1, 2, 3])
    refused("'pair': expected lists of 2 values.*lists of 2, 3", FRAME.assign(pair=lists))


def without_gpu(function):
    """Ops of a traced function that no GPU runs with the types that they have there."""
    graph = function.get_concrete_function(tf.TensorSpec([7], tf.int64)).graph
    return {op.type for op in graph.get_operations() if not any(map(fits(op), kernels_of(op)))}


def kernels_of(op):
    registered = kernels.get_registered_kernels_for_op(op.type).kernel
    return [kernel for kernel in registered if kernel.device_type in ("GPU", "DEFAULT")]


def fits(op):
    types = {a.name for a in op.op_def.attr if a.type == "type"}
    return lambda kernel: all(
        op.get_attr(constraint.name).as_datatype_enum in constraint.allowed_values.list.type
        for constraint in kernel.constraint
        if constraint.name in types
    )


def test_a_gpu_looks_up_what_is_in_memory():
    table = table_of(FRAME)
    assert without_gpu(tf.function(table.features)) == set()
    ragged = tf.ragged.constant([[1], [2, 3], []])  # negative control
    assert without_gpu(tf.function(lambda rows: tf.gather(ragged, rows).values)) == {"RaggedGather"}


def test_lists_that_are_all_empty():
    """In some part of the data, where they show no type, or in all of it."""
    frame = FRAME.sort_values("item").reset_index(drop=True)
    frame["tags"] = [np.array([], np.int32)] * 30 + [np.array([5], np.int32)] * 10
    batch = table_of(frame, npartitions=4).features(np.arange(3, 43))
    assert batch["tags__values"].dtype == np.int32
    assert batch["tags__values"].numpy().tolist() == [5] * 10
    assert batch["tags__offsets"].numpy().tolist() == [0] * 31 + list(range(1, 11))
    frame["tags"] = [np.array([], np.int32)] * 40
    batch = table_of(frame).features([3, 4])
    assert batch["tags__values"].shape == (0,)
    assert batch["tags__offsets"].numpy().tolist() == [0, 0, 0]


def test_what_does_not_fit_is_in_files(tmp_path):
    """A limit in bytes, an array at a time."""
    numbers = np.arange(1000, dtype=np.float32)
    store = Store(8000, tmp_path / "new" / "folder")
    first, second = (store.keep(Column(name, numbers)) for name in ("a", "b/c"))
    third = store.keep(Column("d", numbers))
    assert isinstance(first.values, tf.Tensor) and isinstance(second.values, tf.Tensor)
    assert isinstance(third.values, np.memmap)
    lists = store.keep(Column("e/f", numbers, np.arange(101) * 10))
    assert isinstance(lists.values, np.memmap) and isinstance(lists.splits, np.memmap)
    names = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert names == {"d.values.npy", "e%2Ff.values.npy", "e%2Ff.splits.npy"}
    rows = tf.constant([5, 0], tf.int64)
    assert third.at(rows)["d"].numpy().tolist() == [5, 0]
    assert lists.at(rows)["e/f__values"].numpy().tolist() == [*range(50, 60), *range(10)]
    with pytest.raises(PopSamplerError, match=r"3,999 bytes.*'a.values' of 4,000 bytes.*folder="):
        Store(3999, None).keep(Column("a", numbers))


def test_a_table_in_use_outlives_its_files(tmp_path):
    """A new table in the same folder changes only tables that are built after it."""
    table = table_of(FRAME, folder=tmp_path, max_bytes=0)
    other = FRAME.assign(color=9, tags=[np.array([7, 7])] * len(FRAME))
    others = table_of(other, folder=tmp_path, max_bytes=0)
    for made, frame in ((table, FRAME), (others, other)):
        batch, expected = made.features([4, 40]), by_hand(frame, [4, 40])
        np.testing.assert_array_equal(batch["color"], expected["color"])
        np.testing.assert_array_equal(batch["tags__values"], expected["tags__values"])
    assert all(path.suffix == ".npy" for path in tmp_path.iterdir())
