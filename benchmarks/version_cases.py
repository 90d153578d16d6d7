"""Defines the cases that `versions.py` times, in a process with the package of one checkout."""

import inspect
import json
import math
import sys
import tempfile
import time
from functools import partial
from importlib import import_module
from itertools import count, product
from typing import Any, Callable, Dict, Iterator, Tuple

import numpy as np

ITEMS = 100_000
ROWS = 1024
SAMPLES = 1000
MANY = 8192
"""Rows and samples of a large batch, whose logits are computed in blocks."""
DIM = 64
MIN_ID = 3
EVENTS = 1_000_000
MEASURE = 0.2
"""Minimum seconds of one measurement; a faster case is called several times."""
SCRATCH = tempfile.TemporaryDirectory()
"""Folder for the files of fits, removed when the process ends."""
NUMBERS = count()
Call = Callable[[], Any]
"""Does the work and waits for its result."""
Case = Tuple[Call, int]
"""A call, and how often it repeats the work."""


def distribution(kind: str) -> Any:
    """Returns a distribution over the items, by the names of this checkout."""
    if kind == "log_uniform":
        return kind
    try:
        names = import_module("merlin_popsampler.distributions")
    except ImportError:
        names = import_module("merlin_popsampler.laws")
    curve = getattr(names, "PopularityCurve", None) or names.Steps
    return names.Empirical(curve.from_counts(10**9 // np.arange(10, 10 + ITEMS)))


def sampler(cls: Any, kind: str = "log_uniform", num_sampled: int = SAMPLES) -> Any:
    """Builds a sampler; its argument `distribution` has another name in older checkouts."""
    known = inspect.signature(cls.__init__).parameters
    name = "distribution" if "distribution" in known else "law"
    chosen = {name: distribution(kind)}
    return cls(MIN_ID + ITEMS - 1, MIN_ID, max_num_samples=num_sampled, seed=17, **chosen)


def batch(rows: int = ROWS) -> Tuple[Any, Any, Any]:
    """Returns queries, ids and a table of vectors."""
    rng = np.random.default_rng(17)
    queries, table = (
        rng.normal(size=(num, DIM)).astype(np.float32) for num in (rows, MIN_ID + ITEMS)
    )
    return queries, rng.integers(MIN_ID, MIN_ID + ITEMS, rows), table


def keras_draw(kind: str, num_sampled: int, priced: bool) -> Case:
    """Draws in one graph, so that Python's time does not count."""
    from timing import calls_for, checksum, loop  # isort: skip - it makes TensorFlow quiet

    import tensorflow as tf

    from merlin_popsampler import PopularityBasedSampler

    layer = sampler(PopularityBasedSampler, kind, num_sampled)
    ids = tf.constant(batch()[1])
    calls = calls_for(num_sampled)

    def draw(_: Any) -> Any:
        return checksum(*layer.sampled_values(ids)) if priced else checksum(layer.sample_ids())

    graph, first = loop(draw, calls, overlap=False), tf.constant(0, tf.int64)
    return lambda: graph(first).numpy(), calls


def keras_step(rows: int, num_sampled: int) -> Case:
    """Returns a training step of SampledSoftmax: loss and gradients of queries and table."""
    import tensorflow as tf

    from merlin_popsampler import PopularityBasedSampler
    from merlin_popsampler.tf.sampled_softmax import SampledSoftmax

    queries, ids, table = batch(rows)
    embedding = tf.keras.layers.Embedding(len(table), DIM)
    embedding.build(None)
    embedding.set_weights([table])
    layer = SampledSoftmax(sampler(PopularityBasedSampler, num_sampled=num_sampled))
    given = tf.Variable(queries)
    layer(given, ids, item_table=embedding, training=True)

    @tf.function  # type: ignore[untyped-decorator]
    def graph() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(layer(given, ids, item_table=embedding, training=True))
        gradients = tape.gradient(loss, [given, *embedding.trainable_variables])
        return loss, [getattr(gradient, "values", gradient) for gradient in gradients]

    def step() -> Any:
        return graph()[0].numpy()

    return step, 1


def torch_draw(kind: str, num_sampled: int, priced: bool) -> Case:
    import torch

    from merlin_popsampler.torch import PopularityBasedSampler

    module, ids = sampler(PopularityBasedSampler, kind, num_sampled), torch.tensor(batch()[1])
    return (lambda: module.sampled_values(ids)) if priced else module.sample_ids, 1


def torch_step(rows: int, num_sampled: int) -> Case:
    """Returns a training step of SampledSoftmaxLoss: loss and gradients of queries and table."""
    import torch

    from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss

    queries, ids, table = map(torch.tensor, batch(rows))
    embedding = torch.nn.Embedding.from_pretrained(table, freeze=False, sparse=True)
    loss = SampledSoftmaxLoss(sampler(PopularityBasedSampler, num_sampled=num_sampled))
    queries.requires_grad_()

    def step() -> Any:
        queries.grad = embedding.weight.grad = None
        value = loss(queries, ids, embedding)
        value.backward()
        return value.item()

    return step, 1


def events(strings: bool) -> Any:
    """A million rows of items, the frequent ones first by count alone."""
    import pandas as pd

    keys = np.random.default_rng(17).zipf(1.2, EVENTS) % ITEMS * 7919 % ITEMS
    return pd.DataFrame({"item": [f"item-{key}" for key in keys.tolist()] if strings else keys})


def fitted(frame: Any) -> Any:
    """Fits a workflow into a folder of its own."""
    from merlin.io import Dataset
    from nvtabular import Workflow

    from merlin_popsampler import FrequencyCategorify

    folder = f"{SCRATCH.name}/{next(NUMBERS)}"
    workflow = Workflow(["item"] >> FrequencyCategorify(out_path=folder))
    return workflow.fit(Dataset(frame))


def fit(strings: bool) -> Case:
    frame = events(strings)
    return lambda: fitted(frame), 1


def request(strings: bool) -> Case:
    """Transforms one row by a fitted workflow."""
    frame = events(strings)
    workflow, row = fitted(frame), frame.iloc[[0]].reset_index(drop=True)
    return lambda: workflow.transform(row), 1


def cases() -> Iterator[Tuple[str, Callable[[], Case]]]:
    """Returns the function that makes each case, by name."""
    for rows, num_sampled in ((ROWS, SAMPLES), (MANY, MANY)):
        name = f"training step, {rows:,} rows, {num_sampled:,} samples"
        yield f"Keras, {name}", partial(keras_step, rows, num_sampled)
        yield f"PyTorch, {name}", partial(torch_step, rows, num_sampled)
    for kind, num_sampled, priced in product(
        ("log_uniform", "empirical"), (SAMPLES, 10 * SAMPLES), (False, True)
    ):
        what = "draw with expected counts" if priced else "draw"
        name = f"{what}, {kind}, {num_sampled:,} samples"
        yield f"Keras, {name}", partial(keras_draw, kind, num_sampled, priced)
        yield f"PyTorch, {name}", partial(torch_draw, kind, num_sampled, priced)
    for strings in (False, True):
        keys = "strings" if strings else "integers"
        yield f"fit of {EVENTS:,} rows, {keys}", partial(fit, strings)
        yield f"request of one row, {keys}", partial(request, strings)


def seconds(call: Call, calls: int) -> float:
    """Returns the mean seconds of one call."""
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls


def serve(chosen: str) -> None:
    """Makes the cases whose name holds `chosen`, says which are absent, and times what it is asked.

    It answers in lines: JSON of the reason for each absent case (None where it is there), then the
    seconds of the case that each line of its input names.
    """
    ready: Dict[str, Tuple[Call, int, int]] = {}
    absent: Dict[str, Any] = {}
    for name, make in cases():
        if chosen not in name:
            continue
        try:
            call, work = make()
            call()
            ready[name] = call, max(1, math.ceil(MEASURE / seconds(call, 1))), work
            absent[name] = None
        except ImportError as error:
            absent[name] = str(error)
    print(json.dumps(absent), flush=True)
    for line in sys.stdin:
        call, calls, work = ready[line.strip()]
        print(seconds(call, calls) / work, flush=True)
