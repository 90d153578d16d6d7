"""Reads the protobuf text format of Merlin's `schema.pbtxt`, without protobuf.

Merlin stores the properties of a column as a serialized `google.protobuf.Struct`. So the binary
form of that message is read as well.
"""

from __future__ import annotations

import re
import struct
from typing import Any, Dict, Iterator, List, Match, Tuple

Message = Dict[str, List[Any]]
"""Values by field name, in the order of the file. Nested messages are `Message` as well."""

_TOKEN = re.compile(
    r"""\s+ | \#[^\n]*                                             # skipped
      | (?P<string>"(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*')
      | (?P<atom>[^\s{}<>:;,\[\]"'\#]+)
      | (?P<type>\[[^\s\[\]{}"']+\])
      | (?P<mark>[{}<>:;,\[\]])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_DEEPEST = 64
"""Largest depth of nested messages, so that a damaged file cannot exhaust the stack."""


def parse(text: str) -> Message:
    """Parses the text format of protobuf.

    Args:
      text: the content of the file.

    Returns:
      Values by field name. Quoted strings are `bytes`, numbers and names are `str`, and nested
      messages are dicts.

    Raises:
      ValueError: the text is not in this format.

    Examples:
      >>> parse('feature { name: "item" type: INT } feature { name: "price" }')
      {'feature': [{'name': [b'item'], 'type': ['INT']}, {'name': [b'price']}]}
    """
    return _Reader(text).message("", 0)


class _Reader:
    """Holds the tokens of a text, and the position of the next one."""

    def __init__(self, text: str) -> None:
        self.tokens = [*_tokens(text), ("end", "")]
        self.position = 0

    def next(self) -> Tuple[str, str]:
        """Returns type and text of the next token."""
        return self.tokens[self.position]

    def skip(self, *marks: str) -> bool:
        """Skips the next token if it is one of `marks`, and returns whether it did."""
        found = self.next()[0] == "mark" and self.next()[1] in marks
        self.position += found
        return found

    def message(self, end: str, depth: int) -> Message:
        """Reads the fields of a message, and skips its end.

        Args:
          end: the mark that closes the message, "}" or ">"; "" for the end of the text.
          depth: number of messages around this one.
        """
        if depth > _DEEPEST:
            raise ValueError(f"messages nested more than {_DEEPEST} deep")
        message: Message = {}
        while self.next()[0] in ("atom", "type"):
            name = self.next()[1]
            self.position += 1
            self.skip(":")
            message.setdefault(name, []).extend(self.values(depth))
            self.skip(";", ",")
        if self.next()[1] != end:
            raise ValueError(f"{self.next()[1]!r} instead of {end or 'the end'!r}")
        self.position += 1
        return message

    def values(self, depth: int) -> List[Any]:
        """Reads the value or the list of values that follows the name of a field."""
        kind, text = self.next()
        if kind == "type":  # a list such as [1,2] looks like the name of a type
            self.position += 1
            return text[1:-1].split(",")
        if not self.skip("["):
            return [self.value(depth)]
        found: List[Any] = []
        while not self.skip("]"):
            found.append(self.value(depth))
            self.skip(",")
        return found

    def value(self, depth: int) -> Any:
        """Reads one message, number, name or string."""
        for begin, end in (("{", "}"), ("<", ">")):
            if self.skip(begin):
                return self.message(end, depth + 1)
        kind, text = self.next()
        if kind not in ("atom", "string"):
            raise ValueError(f"{text or 'the end'!r} instead of a value")
        self.position += 1
        if kind == "atom":
            return text
        content = _unescaped(text[1:-1])
        # Adjacent strings are concatenated.
        return content + (self.value(depth) if self.next()[0] == "string" else b"")


def _tokens(text: str) -> Iterator[Tuple[str, str]]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise ValueError(f"an unexpected {text[position : position + 10]!r}")
        position = found.end()
        if found.lastgroup:
            yield found.lastgroup, found.group()


def _unescaped(text: str) -> bytes:
    def replaced(found: Match[bytes]) -> bytes:
        digits, octal, name = found.groups()
        if name is not None:
            return _NAMED.get(name, name)
        return bytes([int(digits, 16) if digits else int(octal, 8) & 0xFF])

    return _ESCAPE.sub(replaced, text.encode("utf-8"))


def read_struct(data: bytes, depth: int = 0) -> Dict[str, Any]:
    """Decodes a serialized `google.protobuf.Struct`.

    Args:
      data: the bytes of the message.
      depth: number of messages around it.

    Returns:
      Plain values. Numbers are floats, as the message stores them.

    Raises:
      ValueError: the bytes are not such a message.

    Examples:
      >>> read_struct(bytes([10, 7, 10, 1, 97, 18, 2, 32, 1]))
      {'a': True}
    """
    fields = {}
    for number, entry in _wire(data):
        if number == 1:
            parts = dict(_wire(entry))
            fields[parts.get(1, b"").decode("utf-8")] = _value(parts.get(2, b""), depth + 1)
    return fields


def struct_of_text(message: Message) -> Dict[str, Any]:
    """Decodes a `google.protobuf.Struct` in text form; see `read_struct` for the result.

    Args:
      message: the result of `parse`.

    Examples:
      >>> message = parse('fields { key: "a" value { number_value: 3 } }')
      >>> struct_of_text(message)
      {'a': 3.0}
    """
    entries = message.get("fields", [])
    return {
        entry.get("key", [b""])[0].decode("utf-8"): _value_of_text(entry.get("value", [{}])[0])
        for entry in entries
    }


def _value_of_text(message: Message) -> Any:
    for name, (value, *_) in message.items():
        if name == "number_value":
            return float(value)
        if name == "string_value":
            return value.decode("utf-8")
        if name == "bool_value":
            return value == "true"
        if name == "struct_value":
            return struct_of_text(value)
        if name == "list_value":
            return [_value_of_text(item) for item in value.get("values", [])]
    return None


def _value(data: bytes, depth: int) -> Any:
    """Decodes a serialized `google.protobuf.Value`."""
    if depth > _DEEPEST:
        raise ValueError(f"values nested more than {_DEEPEST} deep")
    for number, content in _wire(data):
        if number == 2:
            return struct.unpack("<d", content)[0]
        if number == 3:
            return content.decode("utf-8")
        if number == 4:
            return bool(content)
        if number == 5:
            return read_struct(content, depth)
        if number == 6:
            return [_value(item, depth + 1) for field, item in _wire(content) if field == 1]
    return None


def _wire(data: bytes) -> Iterator[Tuple[int, Any]]:
    """Yields number and content of each field of a serialized message."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        kind = key & 7
        if kind == 0:
            content, position = _varint(data, position)
            yield key >> 3, content
            continue
        if kind == 2:
            length, position = _varint(data, position)
        elif kind in (1, 5):
            length = {1: 8, 5: 4}[kind]
        else:
            raise ValueError(f"a field of wire type {kind}")
        if position + length > len(data):
            raise ValueError("a field that is cut off")
        yield key >> 3, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> Tuple[int, int]:
    number = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position
    raise ValueError("a number that is cut off")
