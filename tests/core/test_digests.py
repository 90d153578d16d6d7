"""Digests of bytes."""

from merlin_popsampler.core.digests import digest_of, digest_of_all


def test_digests_distinguish_bytes():
    digests = {digest_of(content) for content in (b"", b"a", b"b", b"ab")}
    assert len(digests) == 4
    assert all(len(digest) == 32 for digest in digests)
    assert digest_of_all([b"a", b"", b"b"]) == digest_of(b"ab")
