"""Tests that a damaged contract gives the correct values or an error of this package.

Fields are replaced one at a time and in pairs, by values of other kinds, by neighbours of the right
value and by degenerate numbers. If a damaged contract can be read, it must give the same expected
counts as the intact one.
"""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merlin.schema import ColumnSchema, Schema, Tags

from merlin_popsampler import PopSamplerError, PopularityMetadata
from merlin_popsampler.contract.sampler_settings import (
    resolve_distribution,
    sampler_kwargs_from_schema,
)
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.expected_counts import build_expected_counts

COUNTS = [300, 41, 41, 30, 9, 9, 9, 2, 1, 1, 1, 1]
WHOLE = PopularityMetadata.from_counts(np.array(COUNTS), 3, "counted", 256)
FIELDS = {**WHOLE.to_dict(), "digest": "04cb1f"}
ENCODER = {
    "domain": {"min": 0, "max": 14, "name": "item_id"},
    "num_buckets": None,
    "cat_path": "x/unique.item_id.parquet",
}
HOSTILE = [
    None, True, False, 0, 1, -1, 2**31, 2**53, 2**63, 2**70, 10**400, 0.5, -0.0, 1e300, 1e-300,
    float("nan"), float("inf"), -float("inf"), 1j, "", "3", "nan", "\0", "steps", b"3", [], [3], {},
    {"min": 3}, {"a": {"tv": 0.1}}, (), {3}, object(), np.array([3, 4]), np.float32(3), np.int8(3),
    np.bool_(True), np.datetime64("2020-01-01"),
]  # fmt: skip
"""Wrong values of a field."""


def neighbours(value):
    """Returns wrong values that are close to the right one: typos, cut text, other types."""
    if isinstance(value, bool):
        return [not value, int(value), str(value)]
    if isinstance(value, int):
        return [value - 1, value + 1, -value, float(value), value + 0.5, value * 10, str(value)]
    if isinstance(value, str):
        return [value[:end] for end in range(len(value))] + [value + "1", value + ",", value[1:]]
    return [dict(list(value.items())[:1])] if isinstance(value, dict) else []


REPLACED = [(name, other) for name in FIELDS for other in [*HOSTILE, *neighbours(FIELDS[name])]] + [
    ("steps", FIELDS["steps"].replace(digit, "7")) for digit in "012349"
]
ABSENT = object()
ONE = st.one_of(
    st.sampled_from(REPLACED), st.tuples(st.sampled_from(sorted(FIELDS)), st.just(ABSENT))
)


def damaged(*changes):
    fields = {**FIELDS, **dict(changes)}
    return {name: value for name, value in fields.items() if value is not ABSENT}


def same_expected_counts(metadata):
    """Tests whether its ids have the expected counts of the intact contract, or are refused."""
    if not metadata.frequency_ordered:
        with pytest.raises(PopSamplerError, match="decreasing frequency"):
            metadata.distribution()
        return True
    if (metadata.min_id, metadata.max_id) != (WHOLE.min_id, WHOLE.max_id):
        return False
    found = build_expected_counts(metadata.distribution(), 5, True)
    return np.array_equal(found.expected_count(range(12)), expected_counts_of_the_whole())


@lru_cache(maxsize=None)
def expected_counts_of_the_whole():
    """Computes the expected counts of the intact contract once."""
    return build_expected_counts(WHOLE.distribution(), 5, True).expected_count(range(12))


def read(fields):
    """Returns the metadata, or None after an error of this package that names the column."""
    try:
        return PopularityMetadata.from_dict(fields, "item_id")
    except PopSamplerError as error:
        message = str(error)
    assert message.startswith("Column 'item_id': ")
    return None


@pytest.mark.parametrize("name", FIELDS)
def test_one_field_of_another_value(name):
    refused = 0
    for field, other in REPLACED:
        if field == name:
            metadata = read(damaged((name, other)))
            assert metadata is None or same_expected_counts(metadata), other
            refused += metadata is None
    assert refused > 20 or name == "digest"


@pytest.mark.parametrize("name", FIELDS)
def test_one_field_less(name):
    metadata = read(damaged((name, ABSENT)))
    assert (metadata is not None) == (name in ("digest", "fit"))
    assert metadata is None or same_expected_counts(metadata)


@settings(max_examples=1000)
@given(ONE, ONE)
def test_two_fields_of_other_values(one, other):
    metadata = read(damaged(one, other))
    assert metadata is None or same_expected_counts(metadata)


DOMAIN = ENCODER["domain"]
PROPERTIES = [(name, other) for name in ENCODER for other in HOSTILE]
PROPERTIES += [("domain", {**DOMAIN, part: other}) for part in DOMAIN for other in HOSTILE]


def arguments(schema):
    """Returns a sampler's arguments, or None after an error of this package with the column."""
    try:
        return sampler_kwargs_from_schema(schema, None, 1.0, {})
    except PopSamplerError as error:
        message = str(error)
    assert "'item_id'" in message
    return None


@settings(max_examples=400)
@given(st.sampled_from(PROPERTIES), st.one_of(st.none(), ONE))
@pytest.mark.filterwarnings("ignore:.*no proof that its ids are sorted")
def test_columns_of_damaged_properties(change, in_contract):
    """A sampler gets the ids of the schema, with and without a contract."""
    contracts = [{}, {"popularity": damaged(in_contract) if in_contract else FIELDS}]
    for contract in contracts:
        properties = {**ENCODER, **contract, change[0]: change[1]}
        column = ColumnSchema("item_id", tags=[Tags.ITEM_ID], properties=properties)
        found = arguments(Schema([column]))
        if found is None:
            continue
        distribution = resolve_distribution(
            found["distribution"], IdDomain(found["min_id"], found["max_id"])
        )
        assert 3 <= found["min_id"] <= found["max_id"]
        if contract:
            metadata = PopularityMetadata.from_dict(properties["popularity"], "item_id")
            assert same_expected_counts(metadata)
            assert (distribution.size, found["max_id"]) == (metadata.domain.size, metadata.max_id)
