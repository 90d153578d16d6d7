"""Who relies on a file, asked of the garbage collector."""

import gc
import weakref

import nvtabular as nvt
import pytest
from merlin.dag.ops.subgraph import Subgraph
from nvtabular import ops

from merlin_popsampler.ops.file_owners import claim, in_several_workflows, other_owner


class Operator(ops.Rename):
    pass


def test_owners_live_as_long_as_somebody_needs_them():
    one, two = Operator(postfix="a"), Operator(postfix="b")
    claim("/x", one)
    assert other_owner("/x", one) is None
    assert other_owner("/x", two) is one
    assert other_owner("/y", two) is None
    del one
    gc.collect()
    assert other_owner("/x", two) is None


def test_workflows_of_an_operator():
    operator = Operator(postfix="a")
    first = nvt.Workflow(["x"] >> operator)
    assert not in_several_workflows(operator)
    second = nvt.Workflow(["x"] >> operator)
    assert in_several_workflows(operator)
    del second
    assert not in_several_workflows(operator)
    assert first.output_node.op is operator


def test_a_part_of_a_workflow_is_no_other_workflow():
    operator = Operator(postfix="a")
    workflow = nvt.Workflow(Subgraph("ids", output_node=["x"] >> operator))
    parts = [workflow.get_subworkflow("ids") for _ in range(2)]
    assert all(part.graph is not workflow.graph for part in parts)
    assert not in_several_workflows(operator)
    other = nvt.Workflow(["x"] >> operator)
    assert in_several_workflows(operator)
    assert other.output_node.op is operator


def test_dead_weak_references_are_no_obstacle():
    """A proxy of something gone raises when it is asked for its class."""

    class Thing:
        pass

    thing = Thing()
    proxy = weakref.proxy(thing)
    del thing
    with pytest.raises(ReferenceError):
        isinstance(proxy, nvt.Workflow)
    assert not in_several_workflows(Operator(postfix="a"))
