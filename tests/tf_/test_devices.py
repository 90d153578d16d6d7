"""Checks what a GPU and XLA can run, what a graph contains, and the choice of the algorithm."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels

from merlin_popsampler.core.distributions import Empirical, LogUniform, Uniform
from merlin_popsampler.core.expected_counts import build_expected_counts
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.tf.expected_counts import expected_count
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.support.draws import ARRIVALS, draw_ranks

DISTRIBUTIONS = {
    "log_uniform": LogUniform(10**6),
    "uniform": Uniform(10**6),
    "empirical": Empirical(
        PopularityCurve.from_counts(np.sort(np.random.default_rng(3).zipf(1.4, 9000))[::-1])
    ),
}

ZIPF = PopularityCurve.from_counts((1e9 / np.arange(1, 10**6 + 1) ** 1.1).astype(np.int64) + 1)
LARGE = {**DISTRIBUTIONS, "empirical": Empirical(ZIPF)}
"""Large enough for 20,000 samples that decide a head by itself."""


def worst(found, expected):
    return float(np.max(np.abs(np.asarray(found, np.float64) / expected - 1)))


def whole_sampler(distribution, num_sampled, unique, algorithm):
    """Draws, corrects the sample and the batch, looks the sample up: all that a step does."""
    table = build_expected_counts(distribution, num_sampled, unique)

    def step(position, true_ids, embeddings):
        ranks = draw_ranks(distribution, 5, position, num_sampled, unique, algorithm)
        return (
            ranks,
            expected_count(table, ranks),
            expected_count(table, true_ids),
            tf.gather(embeddings, ranks % 9000),
        )

    signature = [
        tf.TensorSpec([], tf.int64),
        tf.TensorSpec([64], tf.int64),
        tf.TensorSpec([9000, 8], tf.float32),
    ]
    return step, signature


FORBIDDEN = {"Unique", "UniqueV2", "Where", "PyFunc", "PyFuncStateless", "EagerPyFunc"}


def ops_of(graph):
    """Every op of a graph and of the functions that it calls."""
    return {node.op for node in nodes_of(graph)} - {"Placeholder", "NoOp"}


def nodes_of(graph):
    definition = graph.as_graph_def()
    nodes = list(definition.node)
    for function in definition.library.function:
        nodes.extend(function.node_def)
    return nodes


def unfit_for_a_gpu(graph):
    """Ops that have no GPU kernel, or that make a GPU wait for its host."""
    found = ops_of(graph)
    without = {
        op
        for op in found
        if not any(
            kernel.device_type in ("GPU", "DEFAULT")
            for kernel in kernels.get_registered_kernels_for_op(op).kernel
        )
    }
    bad = (without | (found & FORBIDDEN)) - {"PartitionedCall", "StatefulPartitionedCall"}
    return bad | {op.type for op in graph.get_operations() if kept_by_the_host(op)}


def kept_by_the_host(op):
    """Whether an op with a GPU keeps more data than a shape in host memory.

    TensorFlow registers arithmetic on int32 for GPUs with arguments in host memory, since int32 is
    what shapes are made of.
    """
    data = [
        out for out in op.outputs if out.dtype == tf.int32 and (out.shape.num_elements() or 99) > 32
    ]
    if not data or op.type in ("Const", "Placeholder"):
        return False
    for kernel in kernels.get_registered_kernels_for_op(op.type).kernel:
        types = {c.name: set(c.allowed_values.list.type) for c in kernel.constraint}
        named = {name: op.get_attr(name).as_datatype_enum for name in types if _is_type(op, name)}
        fits = all(named[name] in types[name] for name in named)
        if kernel.device_type in ("GPU", "DEFAULT") and fits and kernel.host_memory_arg:
            outputs = {arg.name for arg in op.op_def.output_arg}
            if outputs & set(kernel.host_memory_arg):
                return True
    return False


def _is_type(op, name):
    return any(attr.name == name and attr.type == "type" for attr in op.op_def.attr)


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize(
    "num_sampled, unique, algorithm",
    [(500, True, "sort"), (20_000, True, "sort"), (500, True, ARRIVALS), (500, False, "auto")],
)
def test_every_op_runs_on_a_gpu(name, num_sampled, unique, algorithm):
    distribution = LARGE[name] if num_sampled > 500 else DISTRIBUTIONS[name]
    step, signature = whole_sampler(distribution, num_sampled, unique, algorithm)
    graph = tf.function(step, input_signature=signature).get_concrete_function().graph
    assert len(ops_of(graph)) > 10
    assert unfit_for_a_gpu(graph) == set()
    assert all(out.shape.is_fully_defined() for out in graph.outputs)


@pytest.mark.parametrize("algorithm", ["host", "op", "int32"])
def test_the_gpu_check_refuses_what_needs_the_host(algorithm):
    """The op, `tf.unique`, and arithmetic on int32, which a GPU leaves to the host."""

    def with_op(position, true_ids, embeddings):
        sampled = tf.random.log_uniform_candidate_sampler(true_ids[:, None], 1, 500, True, 9000)
        return tf.gather(embeddings, sampled[0])

    def with_int32(position, true_ids, embeddings):
        return tf.gather(embeddings, tf.minimum(tf.cast(true_ids, tf.int32), 8999))

    step, signature = whole_sampler(DISTRIBUTIONS["log_uniform"], 500, True, "host")
    steps = {"host": step, "op": with_op, "int32": with_int32}
    traced = tf.function(steps[algorithm], input_signature=signature)
    expected = {"host": "Unique", "op": "LogUniformCandidateSampler", "int32": "Minimum"}[algorithm]
    assert expected in unfit_for_a_gpu(traced.get_concrete_function().graph)


@pytest.mark.parametrize("seed", [17, None])
def test_taking_a_batch_from_the_stream_runs_on_a_gpu(seed):
    layer = PopularityBasedSampler(9, seed=seed, max_num_samples=3, unique=False)
    graph = tf.function(layer.sample_ids).get_concrete_function().graph
    assert "RngReadAndSkip" in ops_of(graph)
    assert unfit_for_a_gpu(graph) == set()


@pytest.mark.parametrize(
    ("distribution", "algorithm"),
    [
        *((distribution, "auto") for distribution in DISTRIBUTIONS.values()),
        (DISTRIBUTIONS["empirical"], "sort"),
        (LogUniform(2000), ARRIVALS),
    ],
)
def test_compiles_under_xla(distribution, algorithm):
    step, signature = whole_sampler(distribution, 500, True, algorithm)
    compiled = tf.function(step, input_signature=signature, jit_compile=True)
    arguments = (
        tf.constant(3, tf.int64),
        tf.range(64, dtype=tf.int64),
        tf.random.normal([9000, 8]),
    )
    ranks, expected_counts, true_expected_counts, rows = compiled(*arguments)
    plain = step(*arguments)
    assert ranks.numpy().tolist() == plain[0].numpy().tolist()
    assert (
        worst(expected_counts, plain[1].numpy()) < 1e-6
        and worst(true_expected_counts, plain[2].numpy()) < 1e-6
    )
    assert rows.shape == (500, 8)


def constants_of(distribution, num_sampled):
    """Bytes of all constants of a graph that draws and corrects."""
    table = build_expected_counts(distribution, num_sampled, unique=True)

    def step(position):
        ranks = draw_ranks(distribution, 3, position, num_sampled)
        return ranks, expected_count(table, ranks)

    position = tf.TensorSpec([], tf.int64)
    graph = tf.function(step).get_concrete_function(position).graph
    values = [node.attr["value"].tensor for node in nodes_of(graph) if node.op == "Const"]
    return sum(tf.make_ndarray(value).nbytes for value in values)


@pytest.mark.parametrize("num_sampled", [500, 10_000])
def test_the_state_of_a_graph_is_small_at_any_size(num_sampled):
    assert len(ZIPF) == 256
    assert 10_000 < constants_of(Empirical(ZIPF), num_sampled) < 16_384
    assert 30_000 < constants_of(LogUniform(10**9), num_sampled) < 32_768


def test_xla_refuses_the_op():
    @tf.function(jit_compile=True)
    def step():
        return tf.random.log_uniform_candidate_sampler([[1]], 1, 5, True, 90)[0]

    with pytest.raises(tf.errors.InvalidArgumentError, match="LogUniformCandidateSampler"):
        step()


def test_the_algorithm_follows_the_context():
    """A plain graph takes `tf.unique`; what will be compiled takes fixed shapes, nested too."""

    def traced():
        return draw_ranks(LogUniform(10**6), 5, 0, 500)

    def ops(**options):
        return ops_of(tf.function(traced, **options).get_concrete_function().graph)

    assert "Unique" in ops() and "Unique" not in ops(jit_compile=True)
    outer = tf.function(lambda: tf.function(traced)() + 1, jit_compile=True)
    assert outer().numpy().tolist() == (traced() + 1).numpy().tolist()


@pytest.mark.gpu
def test_on_a_gpu():
    step, _ = whole_sampler(DISTRIBUTIONS["log_uniform"], 5000, True, "auto")
    arguments = (tf.constant(3, tf.int64), tf.range(64, dtype=tf.int64), tf.zeros([10**6, 8]))
    with tf.device("GPU:0"):
        ranks = tf.function(step)(*arguments)[0]
        compiled = tf.function(step, jit_compile=True)(*arguments)[0]
    assert "GPU" in ranks.device
    assert ranks.numpy().tolist() == compiled.numpy().tolist()
