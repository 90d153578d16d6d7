"""Compares the reader of protobuf text and of serialized Structs with protobuf itself."""

import math

import pytest

google = pytest.importorskip("google.protobuf")
from google.protobuf import json_format, text_format
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from merlin_popsampler.contract import proto_text

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)
LEAVES = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


def message_of(values):
    return json_format.ParseDict(values, Struct())


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_bytes_and_text_of_a_struct_are_read_as_protobuf_reads_them(values):
    message = message_of(values)
    expected = json_format.MessageToDict(message)
    assert proto_text.read_struct(message.SerializeToString()) == expected
    text = text_format.MessageToString(message)
    assert proto_text.struct_of_text(proto_text.parse(text)) == expected


@given(st.dictionaries(TEXT, VALUES, max_size=3), st.booleans(), st.booleans())
def test_every_layout_that_protobuf_prints_is_read(values, one_line, utf8):
    message = message_of(values)
    text = text_format.MessageToString(
        message, as_one_line=one_line, as_utf8=utf8, pointy_brackets=not utf8
    )
    expected = json_format.MessageToDict(message)
    assert proto_text.struct_of_text(proto_text.parse(text)) == expected


def test_numbers_that_json_cannot_write_are_read():
    message = Struct()
    for name, number in {"nan": math.nan, "up": math.inf, "down": -math.inf}.items():
        message.fields[name].number_value = number
    for found in (
        proto_text.read_struct(message.SerializeToString()),
        proto_text.struct_of_text(proto_text.parse(text_format.MessageToString(message))),
    ):
        assert math.isnan(found.pop("nan"))
        assert found == {"up": math.inf, "down": -math.inf}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# a comment\na: 1 # another", {"a": ["1"]}),
        ("a: 1; b: x, c < d: 'e' >", {"a": ["1"], "b": ["x"], "c": [{"d": [b"e"]}]}),
        ("a: 'one' \"two\"", {"a": [b"onetwo"]}),
        ("a: ['x', 'y'] a: 'z'", {"a": [b"x", b"y", b"z"]}),
        ("a: [1, 2] b: [3,4] c: []", {"a": ["1", "2"], "b": ["3", "4"]}),
        (r"a: '\x41\101\n\\\''", {"a": [b"AA\n\\'"]}),
        ("[a.b/C] { d: -1.5e3 }", {"[a.b/C]": [{"d": ["-1.5e3"]}]}),
    ],
)
def test_forms_of_the_text_format(text, expected):
    found = {name: values for name, values in proto_text.parse(text).items() if values}
    assert found == expected


@pytest.mark.parametrize(
    "text", ["a {", "a: }", "a", "a: 'x", "a: [1", "}", "a: 1 }", "a < b: 1 }", "a: {" * 70]
)
def test_text_that_is_cut_or_damaged_is_refused(text):
    with pytest.raises(ValueError, match="instead|unexpected|nested"):
        proto_text.parse(text)


def test_bytes_that_are_cut_are_refused():
    data = message_of({"a": {"b": [1.0, "two"]}}).SerializeToString()
    whole = proto_text.read_struct(data)
    for end in range(1, len(data)):
        with pytest.raises(ValueError, match=r"cut off|wire type"):
            found = proto_text.read_struct(data[:end])
            raise AssertionError(f"{found} of {whole} was read from {end} bytes")
