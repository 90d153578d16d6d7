"""Computes the digests by which files and their contents are recognized."""

from hashlib import blake2b
from typing import Iterable


def digest_of(content: bytes) -> str:
    """Computes the digest of bytes, 32 hexadecimal digits."""
    return digest_of_all([content])


def digest_of_all(contents: Iterable[bytes]) -> str:
    """Computes the digest of concatenated pieces, one piece at a time."""
    digest = blake2b(digest_size=16)
    for content in contents:
        digest.update(content)
    return digest.hexdigest()
