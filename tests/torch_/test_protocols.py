"""Tests the sampler in the interfaces of other libraries.

Transformers4Rec and Merlin's torch models were not installed together with this version of PyTorch.
So their calls of a sampler are imitated here, step by step from their sources: Transformers4Rec
23.08 and 23.12 (`_NextItemPredictionTask.sampled`), Merlin Models 23.06 (`LogUniformSampler` and
`PopularityBasedSampler` of `torch.outputs.sampling.popularity`), and HSTU (`NegativesSampler`).
"""

import torch
from torch.nn import functional

from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss


def sampler():
    return PopularityBasedSampler(102, 3, 20, 17)


def next_item_task(task_sampler, inputs, targets, output_weights):
    """Computes logits and new targets as Transformers4Rec's sampled softmax."""
    negatives, targets_probs, samples_probs = task_sampler.sample(targets)
    positive_scores = (inputs * output_weights[targets]).sum(-1, keepdim=True)
    negative_scores = inputs @ output_weights[negatives].t()
    positive_scores -= torch.log(targets_probs + 1e-16)[:, None]
    negative_scores -= torch.log(samples_probs + 1e-16)[None]
    negative_scores[targets[:, None] == negatives[None]] = torch.finfo(torch.float16).min / 100
    logits = torch.cat([positive_scores, negative_scores], 1)
    return logits, torch.zeros(len(logits), dtype=torch.int64)


def test_transformers4rec_s_task_computes_our_loss():
    torch.manual_seed(0)
    inputs, weights = torch.randn(8, 4), torch.randn(103, 4)
    targets = torch.tensor([3, 4, 5, 102, 60, 3, 7, 30])
    loss = functional.cross_entropy(*next_item_task(sampler(), inputs, targets, weights))
    expected = SampledSoftmaxLoss(sampler())(inputs, targets, weights)
    torch.testing.assert_close(loss, expected)


class MerlinSampler(torch.nn.Module):
    """Imitates Merlin's sampler, whose attribute `sampler` is replaced after construction."""

    def set_to_call(self, to_call):
        self.to_call, self.labels = to_call, torch.ones((1, 1), dtype=torch.int64)

    def forward(self, positive, positive_id=None):
        negative_id, _, _ = self.sampler.sample(self.labels)
        return self.to_call(torch.squeeze(negative_id)), negative_id


def test_merlin_s_sampler_draws_by_this_sampler():
    table, theirs = torch.nn.Embedding(103, 4), MerlinSampler()
    theirs.set_to_call(table)
    theirs.sampler = sampler()
    negative, negative_id = theirs(torch.zeros(8, 4), torch.zeros(8))
    expected = sampler().sample_ids()
    assert negative_id.tolist() == expected.tolist()
    assert negative.shape[0] == negative_id.shape[0]
    torch.testing.assert_close(negative, table(expected))
    assert "sampler.stream._extra_state" in theirs.state_dict()


class HstuNegatives(torch.nn.Module):
    """Follows HSTU's interface: returns ids and their vectors for each positive."""

    def __init__(self, item_emb):
        super().__init__()
        self.sampler, self.item_emb = sampler(), item_emb

    def forward(self, positive_ids, num_to_sample):
        assert num_to_sample == self.sampler.max_num_samples
        ids = self.sampler.sample_ids().expand(*positive_ids.shape, -1)
        return ids, self.item_emb(ids)


def test_hstu_s_negatives():
    ids, vectors = HstuNegatives(torch.nn.Embedding(103, 4))(torch.ones(2, 5).long(), 20)
    assert ids.shape == (2, 5, 20)
    assert vectors.shape == (2, 5, 20, 4)
