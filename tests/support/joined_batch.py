"""A training step of a two-tower model on some rows of a batch, for ranks and for one process."""

import torch

from merlin_popsampler.torch import InBatch, PopularityBasedSampler, SampledSoftmaxLoss

COUNTS = {3: 300, 4: 41, 5: 41, 6: 30, 7: 9, 8: 9, 9: 9, 10: 2, 11: 1, 12: 1, 13: 1, 14: 1}
SPLITS = {"unequal": (4, 2), "one alone": (6, 0), "none": (0, 0), "without items": (1, 5)}
"""Rows of the two ranks. The first and the fourth row have no item."""
CASES = {
    "in-batch": ([], {}),
    "mixture": ([False], {}),
    "uncorrected": ([False], {"correct_positive": False, "logq_strength": 0.7}),
    "repeats": ([True], {"temperature": 0.5}),
}


def negatives(case, **settings):
    """Returns the sources of a case; samplers draw the same ids on all ranks."""
    samplers = [
        PopularityBasedSampler(14, 3, 5, 17, unique=not repeats, share_across_replicas=True)
        for repeats in CASES[case][0]
    ]
    return [*samplers, InBatch.from_counts(COUNTS, **settings)]


class TwoTowers(torch.nn.Module):
    """Holds both towers and the loss, which is computed in `forward` as FSDP needs it."""

    def __init__(self, case, **settings):
        super().__init__()
        torch.manual_seed(3)
        self.queries = torch.nn.Linear(4, 4)
        self.items = torch.nn.Sequential(torch.nn.Embedding(15, 4), torch.nn.Linear(4, 4))
        self.loss = SampledSoftmaxLoss(negatives(case, **settings), **CASES[case][1])

    def forward(self, inputs, ids, excluded, hard):
        queries = self.queries(inputs)
        return self.loss(queries, ids, self.items, excluded, hard_negative_ids=hard)


def batch(rows=slice(0, 6)):
    """Returns some of the rows of the batch, the arguments of the model."""
    inputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(5))
    ids = torch.tensor([1, 3, 7, 0, 7, 14])
    excluded = torch.tensor([[0, 0], [4, 14], [3, 0], [5, 5], [0, 0], [3, 9]])
    hard = torch.tensor([[6, 3], [8, 8], [0, 0], [5, 5], [12, 7], [3, 10]])
    return tuple(each[rows] for each in (inputs, ids, excluded, hard))


def loss_and_gradients(model, rows):
    """Returns the loss, and the gradients of all parameters, as lists."""
    loss = model(*batch(rows))
    loss.backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    return loss.item(), [getattr(g, "full_tensor", lambda g=g: g)().tolist() for g in gradients]
