"""Marks tests that cannot pass by design: each must fail, with the error listed for it."""

from typing import Any, Callable, Dict, Tuple, Type

import pytest


def marked(
    reasons: Dict[str, Tuple[Type[BaseException], str]],
) -> Tuple[Callable[..., None], Callable[..., None]]:
    """Returns two pytest hooks: one marks these tests, the other reports those that are missing.

    Args:
      reasons: by the beginning of a test's name, the error that it fails with, and the reason.
    """

    def pytest_itemcollected(item: Any) -> None:
        for start, (error, reason) in reasons.items():
            if item.name.startswith(start):
                item.add_marker(pytest.mark.xfail(raises=error, reason=reason, strict=True))

    def pytest_collection_finish(session: Any) -> None:
        names = [item.name for item in session.items]
        absent = [start for start in reasons if not any(name.startswith(start) for name in names)]
        if absent:
            raise pytest.UsageError(
                f"Expected tests of these names: {absent}. Which version is it?"
            )

    return pytest_itemcollected, pytest_collection_finish
