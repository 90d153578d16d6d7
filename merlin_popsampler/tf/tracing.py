"""Detects whether XLA or a vectorized loop will run the graph that is being traced."""

import re
from typing import Any

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

_LOOP = re.compile(r"\bloop_body(_\d+)?\b")
"""The name scope in which TensorFlow traces the body of a vectorized loop."""


def in_xla() -> bool:
    """Tests whether the current trace will be compiled (`jit_compile=True`)."""
    graph = tf.compat.v1.get_default_graph()
    return not tf.executing_eagerly() and bool(control_flow_util.GraphOrParentsInXlaContext(graph))


def in_vectorized_loop() -> bool:
    """Tests whether the current trace is the body of a vectorized loop, as in a vectorized map.

    TensorFlow replaces each operation by one for all iterations. If there is none, it runs the
    operation in each iteration and stacks the results. Their shapes must be equal, and an operation
    without a result fails.
    """
    graph: Any = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    while graph is not None:
        if _LOOP.search(graph.get_name_scope()):
            return True
        graph = getattr(graph, "outer_graph", None)
    return False
