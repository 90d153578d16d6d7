"""Who relies on a vocabulary file, so that nobody in this process writes over it unawares."""

import gc
import weakref
from typing import Any, List

from merlin.dag import Graph
from merlin.dag.node import iter_nodes

_OWNERS: "weakref.WeakValueDictionary[str, Any]" = weakref.WeakValueDictionary()


def claim(path: str, operator: Any) -> None:
    """Notes that the operator wrote the file at an absolute path last."""
    _OWNERS[path] = operator


def other_owner(path: str, operator: Any) -> Any:
    """Another operator that is alive and wrote the file, or None.

    Operators that nobody can reach any more (a notebook's cell that ran again) do not count.
    """
    if _OWNERS.get(path) not in (None, operator):
        gc.collect()
    owner = _OWNERS.get(path)
    return None if owner is operator else owner


def in_several_workflows(operator: Any) -> bool:
    """Whether the operator object is part of more than one live graph.

    An operator is told neither which workflow fits it nor in how many it was placed, so the
    garbage collector is asked. Graphs that end in one node, as a sub-workflow taken twice, are one.
    """
    if len(_outputs_with(operator)) < 2:
        return False
    gc.collect()
    return len(_outputs_with(operator)) > 1


def _outputs_with(operator: Any) -> List[Any]:
    """Output nodes of live graphs that hold the operator, those inside other graphs left out."""
    # type() and not isinstance(), which asks a weak proxy for the class of what may be gone.
    graphs = [found for found in gc.get_objects() if issubclass(type(found), Graph)]
    inner = {id(part.output_node) for graph in graphs for part in graph.subgraphs.values()}
    outputs = {
        id(graph.output_node): graph.output_node
        for graph in graphs
        if id(graph.output_node) not in inner
        and any(
            node.op is operator for node in iter_nodes([graph.output_node], flatten_subgraphs=True)
        )
    }
    return list(outputs.values())
