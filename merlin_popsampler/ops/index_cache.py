"""Indexes that a process keeps."""

import os
import threading
from typing import Callable, Dict, Hashable, Tuple

from .key_index import KeyIndex


class IndexCache:
    """Indexes of this process, made once each; those used last stay, within a number of bytes.

    It belongs to the process: it is no part of an operator, and no pickle holds it. Threads that
    ask for an index which is being made wait for it.
    """

    def __init__(self) -> None:
        self._held: Dict[Hashable, Tuple[KeyIndex, int]] = {}  # the last used comes last
        self._renew_lock()
        # The thread that holds the lock in a parent is not there in its child.
        os.register_at_fork(after_in_child=self._renew_lock)

    def get(self, name: Hashable, make: Callable[[], KeyIndex], cost: int, budget: int) -> KeyIndex:
        """The index of a name, made where there is none.

        Args:
          name: that no other index ever had.
          make: makes it.
          cost: bytes that it takes.
          budget: bytes that all indexes may take together.
        """
        with self._lock:
            if name not in self._held:
                while self._held and sum(held for _, held in self._held.values()) + cost > budget:
                    del self._held[next(iter(self._held))]
                self._held[name] = make(), cost
            self._held[name] = self._held.pop(name)
            return self._held[name][0]

    def clear(self) -> None:
        """Forgets all of them."""
        with self._lock:
            self._held.clear()

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()
