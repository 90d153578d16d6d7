"""Counts all calls to the local file system below a folder, so that one can be disturbed."""

import os
import sys
from typing import Any, Callable, Tuple

from fsspec.implementations.local import LocalFileOpener


class Calls:
    """Counts the calls below a folder, and runs a function at one of them."""

    def __init__(self) -> None:
        self.number, self.below, self.made = 0, "", ""

    def begin(self, below: str, at: int, happens: Callable[[str, str], None]) -> None:
        self.number, self.below, self.at, self.happens = 0, below, at, happens

    def end(self) -> int:
        self.below = ""
        return self.number

    def note(self, call: str, path: Any) -> None:
        """Notes a call, just before it is made."""
        if self.below and isinstance(path, str) and path.startswith(self.below):
            self.number += 1
            if self.number == self.at:
                self.made, below, self.below = f"{call} {path}", self.below, ""
                self.happens(call, path)
                self.below = below


CALLS = Calls()
TOLD = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.listdir", "os.scandir"}
"""Calls that Python audits before it makes them; the rest is wrapped."""


def watch() -> None:
    """Reports every call to the local file system to `CALLS`."""
    fsync, write = os.fsync, LocalFileOpener.write

    def noted_fsync(file: int) -> None:
        CALLS.note("os.fsync", os.readlink(f"/proc/self/fd/{file}"))
        fsync(file)

    def noted_write(file: Any, content: bytes) -> None:
        """Writes in two halves: a disk may be full, or a process end, between them."""
        write(file, content[: len(content) // 2])
        file.f.flush()
        CALLS.note("write", file.path)
        write(file, content[len(content) // 2 :])

    sys.addaudithook(
        lambda call, given: call in TOLD and CALLS.note(call + _mode(call, given), given[0])
    )
    os.fsync, LocalFileOpener.write = noted_fsync, noted_write
    for name in ("stat", "lstat"):
        setattr(os, name, _noted(f"os.{name}", getattr(os, name)))


def _mode(call: str, given: Tuple[Any, ...]) -> str:
    return " to write" if call == "open" and set("wax+") & set(given[1] or "") else ""


def _noted(call: str, function: Callable) -> Callable:
    def noted(path: Any, *args: Any, **options: Any) -> Any:
        CALLS.note(call, path)
        return function(path, *args, **options)

    return noted
