"""Printed outputs compared by meaning: text as it is, numbers to the last digit that they show."""

import re
from typing import Iterator, List, Optional

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w]|\.\d)")


def difference(found: str, kept: str) -> Optional[str]:
    """The first difference between two outputs, None where they mean the same.

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
    """What stands around the numbers, without the spaces' widths."""
    return " ".join(_NUMBER.sub(" # ", text).split()).split(" ")


def _numbers(text: str) -> Iterator[str]:
    return iter(_NUMBER.findall(text))


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _unit(number: str) -> float:
    """One in the last decimal shown, nothing for a whole number."""
    mantissa, _, exponent = number.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 10.0 ** (int(exponent or 0) - decimals) if decimals else 0.0
