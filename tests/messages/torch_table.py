"""Triggers messages of `torch`, and follows their advice."""

import torch

from merlin_popsampler import IdMap
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.torch import (
    AllItems,
    InBatch,
    Mixture,
    PopularityBasedSampler,
    SampledSoftmaxLoss,
    warm_start,
)
from tests.support.messages import Entry

IDS, PAIRS, QUERIES = torch.tensor([3, 4]), torch.tensor([[3, 4], [5, 0]]), torch.zeros(2, 2)


def sampler(**settings):
    return PopularityBasedSampler(14, 3, 5, 17, **settings)


def sparse_table():
    return torch.nn.Embedding(15, 2, sparse=True)


def drawn(layer):
    ids = layer.sample_ids()
    return ids, layer.expected_count(ids)


def losses(
    true_ids=IDS,
    queries=QUERIES,
    rows=15,
    table=None,
    excluded_ids=None,
    sampled_values=None,
    negatives=None,
    **settings,
):
    table = table or torch.nn.Embedding(rows, 2)
    loss = SampledSoftmaxLoss(negatives or sampler(), **settings)
    return loss(queries, true_ids, table, excluded_ids, sampled_values=sampled_values)


OLD, NEW = {3: 1, 4: 2, 5: 3}, {3: 3, 4: 1, 5: 2}


def nested(number):
    lists = [torch.arange(length) for length in range(number)]
    return torch.nested.nested_tensor(lists, layout=torch.jagged)


def mapped_from(counts):
    return PopularityBasedSampler.from_counts(counts, max_num_samples=2)


ITEMS = IdDomain(2, 3)
SAME = IdMap(range(4), ITEMS, ITEMS)


def model(**parts):
    return torch.nn.ModuleDict({"table": torch.nn.Embedding(4, 2), **parts})


def optimizer(owner, make=torch.optim.Adam):
    """Returns an optimizer that has made a step."""
    made = make(owner.parameters())
    for parameter in owner.parameters():
        parameter.grad = torch.ones_like(parameter)
    made.step()
    return made


def factored(owner):
    """Adam with one slot value for each row, as in Adafactor."""
    made = optimizer(owner)
    made.state[owner["table"].weight]["exp_avg"] = torch.ones(4, 1)
    return made


def warm(new=None, old=None, maps=None, make=optimizer, optimizers=2, **options):
    new, old = new or model(), old or model()
    if optimizers:
        options["optimizer"] = optimizer(new)
    if optimizers > 1:
        options["old_optimizer"] = make(old)
    return warm_start(new, old, maps or {"table": SAME}, **options)


def shared(new, old):
    new_table, old_table = torch.nn.Embedding(4, 2), torch.nn.Embedding(4, 2)
    return warm(
        model(table=new_table, read=new_table if new else torch.nn.Embedding(4, 2)),
        model(table=old_table, read=old_table if old else torch.nn.Embedding(4, 2)),
        {"table": SAME, "read": SAME},
        optimizers=0,
    )


def numbers():
    owner = model()
    owner.register_buffer("category", torch.arange(4))
    return owner


TABLE = {
    "torch.ids": [
        Entry("Pass integers of one type and shape", lambda _: sampler()([[3], [4, 5]])),
        Entry(
            "its padding 0 must not stand for an item",
            lambda _: sampler().expected_count(PAIRS.to_sparse()),
            [lambda _: sampler().expected_count(PAIRS.to_sparse().to_dense())],
        ),
    ],
    "torch.item_table": [Entry("num_embeddings=max_id + 1", lambda _: losses(rows=14))],
    "torch.id_lists": [
        Entry(
            "insert a dimension of 1",
            lambda _: losses(PAIRS, torch.zeros(2, 2, 2), excluded_ids=torch.zeros(1, 2).long()),
        ),
        Entry(
            "Nested lists cannot be shared: pass one for each query",
            lambda _: losses(PAIRS, torch.zeros(2, 2, 2), excluded_ids=nested(2)),
            [lambda _: losses(PAIRS, torch.zeros(2, 2, 2), excluded_ids=nested(4))],
        ),
    ],
    "torch.refit": [
        Entry("neither to begin with an optimizer that has no state", lambda _: warm(optimizers=1)),
        Entry(
            "Make the table from the new data, and pass None for it",
            lambda _: warm(numbers(), numbers(), {"table": SAME, "category": SAME}),
        ),
        Entry("Share the weight in both models", lambda _: shared(new=True, old=False)),
    ],
    "torch.row_moves": [
        Entry(
            "shard, quantize or wrap it afterwards",
            lambda _: warm(model().to("meta"), optimizers=0),
        )
    ],
    "torch.optimizer_slots": [
        Entry(
            "such as Adam, Adagrad or SGD can be moved",
            lambda _: warm(make=factored),
            [lambda _: warm(optimizers=0), lambda _: warm()],
        ),
        Entry(
            "part of a checkpoint that holds the optimizer's state",
            lambda _: warm(make=lambda old: {"optimizer": optimizer(old).state_dict()}),
            [lambda _: warm(make=lambda old: optimizer(old).state_dict())],
        ),
    ],
    "torch.all_items": [
        Entry(
            "or sample the negatives",
            lambda _: losses(negatives=AllItems(14, 3), table=sparse_table()),
            [lambda _: losses(negatives=AllItems(14, 3)), lambda _: losses(table=sparse_table())],
        )
    ],
    "contract.negatives": [
        Entry(
            "Build each by its from_schema or from_counts",
            lambda _: Mixture([object()]),
            [lambda _: Mixture([mapped_from(NEW), InBatch.from_counts(NEW)])],
        ),
        Entry(
            "or from the same counts",
            lambda _: Mixture([mapped_from(NEW), InBatch.from_counts(OLD)]),
        ),
        Entry(
            "leave it out to draw anew",
            lambda _: losses(sampled_values=IDS),
            [lambda _: losses(sampled_values=drawn(sampler())), lambda _: losses()],
        ),
    ],
    "torch.sampled_softmax": [
        Entry("temperature", lambda _: losses(temperature=0.0)),
        Entry("Pass 1.0 for the whole correction", lambda _: losses(logq_strength=1.5)),
    ],
}
