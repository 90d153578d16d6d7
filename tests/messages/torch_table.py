"""Messages of `torch` and their advice, followed."""

import copy

import torch
from torch import distributed

from merlin_popsampler import IdMap
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.torch import (
    AllItems,
    InBatch,
    Mixture,
    PopularityBasedSampler,
    SampledSoftmaxLoss,
    SamplingMonitor,
    warm_start,
)
from tests.support.messages import Entry
from tests.support.sharded import one_rank, sharded_by_its_owner

IDS, PAIRS, QUERIES = torch.tensor([3, 4]), torch.tensor([[3, 4], [5, 0]]), torch.zeros(2, 2)


def sampler(**settings):
    return PopularityBasedSampler(14, 3, 5, 17, **settings)


def in_group(make):
    """What is made with a process group."""
    with one_rank():
        return make(distributed.new_group([0]))


def jagged():
    return torch.nested.nested_tensor([IDS, IDS[:1]], layout=torch.jagged)


def sparse_table():
    return torch.nn.Embedding(15, 2, sparse=True)


def drawn(mixture):
    ids = mixture.sample_ids()
    return ids, mixture.expected_count(ids, 0)


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


def losses_of_sharded(cure):
    """Losses of a table that FSDP2 gathers in its owner's forward, or by the advice."""
    from torch.distributed.fsdp import fully_shard

    with one_rank() as mesh:
        table = torch.nn.Embedding(15, 2)
        if cure == "fully_shard":
            return losses(table=fully_shard(table, mesh=mesh))
        sharded_by_its_owner(mesh, table)
        table = table.weight.full_tensor() if cure == "full_tensor" else table
        return SampledSoftmaxLoss(sampler())(QUERIES, IDS, table)


OLD, NEW = {3: 1, 4: 2, 5: 3}, {3: 3, 4: 1, 5: 2}


def mapped_from(counts):
    return PopularityBasedSampler.from_counts(counts, max_num_samples=2)


ITEMS = IdDomain(2, 3)
SAME = IdMap(range(4), ITEMS, ITEMS)


def model(**parts):
    return torch.nn.ModuleDict({"table": torch.nn.Embedding(4, 2), **parts})


def optimizer(owner, make=torch.optim.Adam):
    """One that has made a step."""
    made = make(owner.parameters())
    for parameter in owner.parameters():
        parameter.grad = torch.ones_like(parameter)
    made.step()
    return made


def factored(owner):
    """Adam with a slot for each row, as Adafactor has them."""
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
    "torch.mapped_ids": [
        Entry(
            "to go on with new counts, leave its keys out of the state",
            lambda _: mapped_from(NEW).load_state_dict(mapped_from(OLD).state_dict()),
            [
                lambda _: mapped_from(OLD).load_state_dict(mapped_from(OLD).state_dict()),
                lambda _: mapped_from(NEW).load_state_dict({}, strict=False),
            ],
        ),
    ],
    "torch.ids": [
        Entry(
            "Call to_empty(device=...) on the model",
            lambda _: sampler().to("meta")(IDS),
            [lambda _: sampler().to("meta").to_empty(device="cpu")(IDS)],
        ),
        Entry(
            "Pass values() of a nested tensor",
            lambda _: sampler()(jagged()),
            [lambda _: sampler()(jagged().values())],
        ),
        Entry(
            "Pass integers of one type and shape",
            lambda _: sampler()([[3], [4, 5]]),
            [lambda _: sampler()([[3, 0], [4, 5]])],
        ),
        Entry(
            "Cast whole numbers to int64",
            lambda _: sampler().expected_count(IDS.float()),
            [lambda _: sampler().expected_count(IDS.float().to(torch.int64))],
        ),
    ],
    "torch.item_table": [
        Entry(
            "num_embeddings=max_id + 1",
            lambda _: losses(rows=14),
            [lambda _: losses(rows=15)],
        ),
        Entry(
            "Wrap it in a module that does",
            lambda _: losses(table=torch.nn.Flatten(0)),
            [lambda _: losses(table=torch.nn.Sequential(torch.nn.Embedding(15, 2)))],
        ),
        Entry(
            "Call fully_shard on the table itself",
            lambda _: losses_of_sharded(cure=None),
            [
                lambda _: losses_of_sharded(cure="fully_shard"),
                lambda _: losses_of_sharded(cure="full_tensor"),
            ],
        ),
    ],
    "torch.id_lists": [
        Entry(
            "insert a dimension of 1",
            lambda _: losses(PAIRS, torch.zeros(2, 2, 2), excluded_ids=torch.zeros(1, 2).long()),
            [
                lambda _: losses(
                    PAIRS, torch.zeros(2, 2, 2), excluded_ids=torch.zeros(1, 2).long()[:, None]
                ),
                lambda _: losses(excluded_ids=PAIRS),
            ],
        ),
    ],
    "torch.refit": [
        Entry(
            "neither to begin with an optimizer that has no state",
            lambda _: warm(optimizers=1),
            [lambda _: warm(optimizers=2), lambda _: warm(optimizers=0)],
        ),
        Entry(
            "pass the parts that they share",
            lambda _: warm(model(extra=torch.nn.Linear(2, 2)), optimizers=0),
            [
                lambda _: warm(
                    model(extra=torch.nn.Linear(2, 2)),
                    model(extra=torch.nn.Linear(2, 2)),
                    optimizers=0,
                ),
                lambda _: warm(
                    model(extra=torch.nn.Linear(2, 2))["table"],
                    model()["table"],
                    SAME,
                    optimizers=0,
                ),
            ],
        ),
        Entry(
            "or the last part of it",
            lambda _: warm(maps={"item_id": SAME}),
            [lambda _: warm(maps={"table": SAME})],
        ),
        Entry(
            "Make the table from the new data, and pass None for it",
            lambda _: warm(numbers(), numbers(), {"table": SAME, "category": SAME}),
            [lambda _: warm(numbers(), numbers(), {"table": SAME, "category": None})],
        ),
        Entry(
            "pass a copy of the old one's state_dict()",
            lambda _: warm(*[model()] * 2),
            [
                lambda _: warm(),
                lambda _: warm_start(
                    owner := model(), copy.deepcopy(owner.state_dict()), {"table": SAME}
                ),
            ],
        ),
        Entry(
            "Share it in both models",
            lambda _: shared(new=True, old=False),
            [lambda _: shared(new=True, old=True), lambda _: shared(new=False, old=True)],
        ),
    ],
    "torch.row_moves": [
        Entry(
            "shard, quantize or wrap it afterwards",
            lambda _: warm(model().to("meta"), optimizers=0),
            [lambda _: warm(model().to("meta").to_empty(device="cpu"), optimizers=0)],
        ),
    ],
    "torch.optimizer_slots": [
        Entry(
            "begin with an optimizer such as Adam, Adagrad or SGD",
            lambda _: warm(make=factored),
            [lambda _: warm(), lambda _: warm(optimizers=0)],
        ),
        Entry(
            "Make both in the same way, or leave both out",
            lambda _: warm(make=lambda owner: optimizer(owner, torch.optim.Adagrad)),
            [lambda _: warm(), lambda _: warm(optimizers=0)],
        ),
    ],
    "torch.all_items": [
        Entry(
            "or pass a sampler as negatives",
            lambda _: losses(negatives=AllItems(14, 3), sampled_values=drawn(Mixture(sampler()))),
            [
                lambda _: losses(negatives=AllItems(14, 3)),
                lambda _: losses(sampled_values=drawn(Mixture(sampler()))),
            ],
        ),
        Entry(
            "or sample the negatives",
            lambda _: losses(negatives=AllItems(14, 3), table=sparse_table()),
            [
                lambda _: losses(negatives=AllItems(14, 3)),
                lambda _: losses(table=sparse_table()),
            ],
        ),
    ],
    "torch.negatives": [
        Entry(
            "Build each by its from_schema or from_counts",
            lambda _: Mixture([object()]),
            [lambda _: Mixture([mapped_from(NEW), InBatch.from_counts(NEW)])],
        ),
        Entry(
            "or from the same counts",
            lambda _: Mixture([mapped_from(NEW), InBatch.from_counts(OLD)]),
            [lambda _: Mixture([mapped_from(NEW), InBatch.from_counts(NEW)])],
        ),
        Entry(
            "leave it out where nothing is sampled",
            lambda _: losses(sampled_values=IDS),
            [lambda _: losses(sampled_values=drawn(Mixture(sampler()))), lambda _: losses()],
        ),
        Entry(
            "Pass gather=True with it",
            lambda _: in_group(lambda group: InBatch.from_counts(NEW, process_group=group)),
            [
                lambda _: in_group(
                    lambda group: InBatch.from_counts(NEW, gather=True, process_group=group)
                ),
                lambda _: InBatch.from_counts(NEW),
            ],
        ),
    ],
    "torch.monitor": [
        Entry(
            "with AllItems there is nothing to monitor",
            lambda _: SamplingMonitor(torch.nn.CrossEntropyLoss()),
            [lambda _: SamplingMonitor(SampledSoftmaxLoss(sampler()))],
        ),
    ],
    "torch.rank_group": [
        Entry(
            "Pass share_across_replicas=True with it",
            lambda _: in_group(lambda group: sampler(process_group=group)),
            [
                lambda _: in_group(
                    lambda group: sampler(share_across_replicas=True, process_group=group)
                ),
                lambda _: sampler(),
            ],
        ),
        Entry(
            "returned on a rank of `ranks`, or None for all",
            lambda _: InBatch.from_counts(NEW, gather=True, process_group=[0]),
            [
                lambda _: in_group(
                    lambda group: InBatch.from_counts(NEW, gather=True, process_group=group)
                ),
                lambda _: InBatch.from_counts(NEW, gather=True),
            ],
        ),
    ],
    "torch.sampler": [
        Entry(
            "Script the model without its loss",
            lambda _: torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, 2), sampler())),
            [lambda _: torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, 2)))],
        ),
    ],
    "torch.stream": [
        Entry(
            "neither cast nor averaged",
            lambda _: sampler().load_state_dict({"stream._extra_state": torch.zeros(2)}),
            [lambda _: sampler().load_state_dict(sampler().state_dict())],
        ),
    ],
    "torch.sampled_softmax": [
        Entry(
            "sums need no common divisor",
            lambda _: losses(reduction="sum", across_ranks=True),
            [lambda _: losses(reduction="sum"), lambda _: losses(across_ranks=True)],
        ),
        Entry(
            "Expected reduction",
            lambda _: losses(reduction="average"),
            [lambda _: losses(reduction="mean")],
        ),
        Entry(
            "temperature",
            lambda _: losses(temperature=0.0),
            [lambda _: losses(temperature=1.0)],
        ),
        Entry(
            "Pass 1.0 for the whole correction",
            lambda _: losses(logq_strength=1.5),
            [lambda _: losses(logq_strength=1.0)],
        ),
        Entry(
            "Repeat the queries that have several",
            lambda _: losses(PAIRS),
            [lambda _: losses(PAIRS.reshape(-1), QUERIES.repeat_interleave(2, 0))],
        ),
    ],
}
