"""In how many workflows one operator object is."""

import gc
import sys
import weakref
from typing import Any, Dict

from merlin.dag import Graph


class GraphsOf:
    """The graphs that were made with an operator in them, as long as they live.

    An operator is told neither which workflow fits it nor in how many it was placed, so it notes
    who calls it when a graph is made.
    """

    def __init__(self) -> None:
        self._graphs: Any = weakref.WeakSet()

    def add_caller(self) -> None:
        """Notes the graph whose constructor has called the caller of this."""
        caller = sys._getframe(2).f_locals.get("self")  # noqa: SLF001 - there is no other way
        if isinstance(caller, Graph):
            self._graphs.add(caller)

    def several(self) -> bool:
        """Whether several of them are alive; those that end in one node are one."""
        if len(self._outputs()) > 1:
            gc.collect()  # of a notebook's cell that ran again
        return len(self._outputs()) > 1

    def _outputs(self) -> Dict[int, object]:
        graphs = list(self._graphs)
        inner = {id(part.output_node) for graph in graphs for part in graph.subgraphs.values()}
        return {
            id(graph.output_node): graph for graph in graphs if id(graph.output_node) not in inner
        }
