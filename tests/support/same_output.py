"""Compares printed outputs: text exactly, numbers to their last digit."""

import re
from typing import Iterator, List, Optional

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w]|\.\d)")


def difference(found: str, kept: str) -> Optional[str]:
    """Returns the first difference between two outputs, or None.

    Text must be equal, and so must whole numbers. A number with decimals may be off by one in the
    last decimal that is shown, since a processor's last bits decide how a number is rounded.
    Spaces count for one, since they pad numbers.
    """
    words = [_words(text) for text in (found, kept)]
    if words[0] != words[1]:
        return f"expected the text {words[1]!r}. Received: {words[0]!r}"
    for number, wanted in zip(_numbers(found), _numbers(kept)):
        if abs(_value(number) - _value(wanted)) > 1.01 * _unit(wanted):
            return f"expected {wanted}. Received: {number}, in {found!r}"
    return None


def _words(text: str) -> List[str]:
    """Returns the text between the numbers, with runs of spaces as one."""
    return " ".join(_NUMBER.sub(" # ", text).split()).split(" ")


def _numbers(text: str) -> Iterator[str]:
    return iter(_NUMBER.findall(text))


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _unit(number: str) -> float:
    """Returns 1 in the last decimal of a number, 0 for an integer."""
    mantissa, _, exponent = number.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 10.0 ** (int(exponent or 0) - decimals) if decimals else 0.0
