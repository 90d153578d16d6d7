"""What the tests of files share."""

from tests.support.memory_files import memory

__all__ = ["memory"]
