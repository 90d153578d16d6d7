"""Messages of `torch` and their advice, followed."""

import torch

from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss
from tests.support.messages import Entry

IDS, PAIRS, QUERIES = torch.tensor([3, 4]), torch.tensor([[3, 4], [5, 0]]), torch.zeros(2, 2)


def sampler():
    return PopularityBasedSampler(14, 3, 5, 17)


def losses(true_ids=IDS, queries=QUERIES, rows=15, table=None, excluded_ids=None, **settings):
    table = table or torch.nn.Embedding(rows, 2)
    return SampledSoftmaxLoss(sampler(), **settings)(queries, true_ids, table, excluded_ids)


TABLE = {
    "torch.ids": [
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
    "torch.sampled_softmax": [
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
