"""Messages of `torch` and their advice, followed."""

import torch

from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss
from tests.support.messages import Entry

IDS, PAIRS, QUERIES = torch.tensor([3, 4]), torch.tensor([[3, 4], [5, 0]]), torch.zeros(2, 2)


def sampler():
    return PopularityBasedSampler(14, 3, 5, 17)


def jagged():
    return torch.nested.nested_tensor([IDS, IDS[:1]], layout=torch.jagged)


def losses(true_ids=IDS, queries=QUERIES, rows=15, table=None, excluded_ids=None, **settings):
    table = table or torch.nn.Embedding(rows, 2)
    return SampledSoftmaxLoss(sampler(), **settings)(queries, true_ids, table, excluded_ids)


OLD, NEW = {3: 1, 4: 2, 5: 3}, {3: 3, 4: 1, 5: 2}


def mapped_from(counts):
    return PopularityBasedSampler.from_counts(counts, max_num_samples=2)


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
            "Wrap it in a module whose forward does",
            lambda _: losses(table=torch.nn.Flatten(0)),
            [lambda _: losses(table=torch.nn.Sequential(torch.nn.Embedding(15, 2)))],
        ),
    ],
    "torch.logits": [
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
            "Repeat the queries that have several",
            lambda _: losses(PAIRS),
            [lambda _: losses(PAIRS.reshape(-1), QUERIES.repeat_interleave(2, 0))],
        ),
    ],
}
