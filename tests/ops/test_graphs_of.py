"""How many workflows an operator is in."""

import gc

import nvtabular as nvt
from merlin.dag.ops.subgraph import Subgraph
from nvtabular import ops

from merlin_popsampler.ops.graphs_of import GraphsOf


class Operator(ops.Rename):
    def __init__(self):
        super().__init__(postfix="a")
        self.graphs = GraphsOf()

    def load_artifacts(self, artifact_path=None):
        self.graphs.add_caller()


def test_workflows_of_an_operator():
    operator = Operator()
    assert not operator.graphs.several()
    first = nvt.Workflow(["x"] >> operator)
    assert not operator.graphs.several()
    second = nvt.Workflow(["x"] >> operator)
    assert operator.graphs.several()
    del second
    assert not operator.graphs.several()
    assert first.output_node.op is operator


def test_a_cell_that_runs_again():
    """What it made before is unreachable, though nobody has collected it."""
    operator = Operator()
    gc.disable()
    try:
        for _ in range(3):
            workflow = nvt.Workflow(["x"] >> operator)
            workflow.itself = workflow
        assert not operator.graphs.several()
    finally:
        gc.enable()


def test_a_part_of_a_workflow_is_no_other_workflow():
    operator = Operator()
    workflow = nvt.Workflow(Subgraph("ids", output_node=["x"] >> operator))
    parts = [workflow.get_subworkflow("ids") for _ in range(2)]
    assert all(part.graph is not workflow.graph for part in parts)
    assert not operator.graphs.several()
    other = nvt.Workflow(["x"] >> operator)
    assert operator.graphs.several()
    assert other.output_node.op is operator


def test_who_calls_without_being_a_graph_does_not_count():
    operator = Operator()
    for _ in range(2):
        operator.load_artifacts("")
    assert not operator.graphs.several()
