"""Fixtures of the tests of files."""

from tests.support.memory_files import memory

__all__ = ["memory"]
