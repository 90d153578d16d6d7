"""Compares AllItems with PyTorch's cross-entropy over the catalog, values and gradients."""

import copy

import pytest
import torch
from torch.nn import functional

from merlin_popsampler import PopSamplerError
from merlin_popsampler.torch import AllItems, Mixture, SampledSoftmaxLoss, all_items

EXCLUDED = [[], [4, 14, 0], [3], [5, 9, 9], [8, 0], [13]]


def numbers(dtype=torch.float32):
    torch.manual_seed(3)
    table = torch.nn.Embedding(16, 4, dtype=dtype)
    return torch.randn(6, 4), torch.tensor([3, 14, 7, 7, 12, 5]), table


def loss_of(**settings):
    return SampledSoftmaxLoss(AllItems(14, 3), 0.5, **settings)


def by_pytorch(query, ids, vectors, excluded=None):
    """Computes the loss by PyTorch; `vectors` are of the ids 0 to 14."""
    scores = query @ vectors[3:15].float().T / 0.5
    for row, left_out in enumerate(excluded or []):
        for item in left_out:
            if 3 <= item <= 14 and item != ids[row]:
                scores[row, item - 3] = -torch.inf
    return functional.cross_entropy(scores, ids - 3, reduction="none")


def nested(lists):
    return torch.nested.nested_tensor(
        [torch.tensor(ids, dtype=torch.int64) for ids in lists], layout=torch.jagged
    )


class Unit(torch.nn.Embedding):
    def forward(self, ids):
        return functional.normalize(super().forward(ids), dim=-1)


TABLES = {
    "plain": lambda: torch.nn.Embedding(16, 4),
    "padding": lambda: torch.nn.Embedding(16, 4, padding_idx=7),
    "own forward": lambda: Unit(16, 4),
    "bfloat16": lambda: torch.nn.Embedding(16, 4, dtype=torch.bfloat16),
    "tower": lambda: torch.nn.Sequential(torch.nn.Embedding(16, 4), torch.nn.Linear(4, 4)),
}


@pytest.mark.parametrize("excluded", [None, EXCLUDED], ids=["nothing", "excluded"])
@pytest.mark.parametrize("block", [1, 5, 100])
@pytest.mark.parametrize("kind", [*TABLES, "tensor"])
def test_values_and_gradients_are_pytorch_s(monkeypatch, kind, block, excluded):
    monkeypatch.setattr(all_items, "BLOCK_BYTES", block * 16 * 6)
    query, ids, _ = numbers()
    if kind == "tensor":
        tables = [torch.randn(16, 4).requires_grad_()]
        tables.append(tables[0].detach().clone().requires_grad_())
        parameters, vectors = tables, tables[1]
    else:
        table = TABLES[kind]()
        tables = [table, copy.deepcopy(table)]
        parameters = [list(each.parameters()) for each in tables]
        vectors = tables[1](torch.arange(16))
    queries = [query.clone().requires_grad_() for _ in range(2)]
    found = loss_of(reduction="none")(
        queries[0], ids, tables[0], None if excluded is None else nested(excluded)
    )
    expected = by_pytorch(queries[1], ids, vectors, excluded)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    weights = torch.linspace(-1, 2, 6)  # as sample weights, which are applied afterwards
    (found * weights).sum().backward(), (expected * weights).sum().backward()
    pairs = [queries, *zip(*parameters)] if kind != "tensor" else [queries, tables]
    for one, other in pairs:
        rtol = 0.05 if one.dtype == torch.bfloat16 else 1e-4
        torch.testing.assert_close(one.grad, other.grad, rtol=rtol, atol=rtol / 10)


def test_no_setting_of_the_sampling_changes_anything():
    query, ids, table = numbers()
    expected = loss_of()(query, ids, table)
    for settings in ({"correct_positive": False}, {"logq_strength": 0.3}):
        assert torch.equal(loss_of(**settings)(query, ids, table), expected)
    hard = torch.tensor([[4, 5]] * 6)
    assert torch.equal(loss_of()(query, ids, table, hard_negative_ids=hard), expected)
    evaluated = loss_of().eval()(query, ids, table)
    torch.testing.assert_close(evaluated, expected.detach())


def test_rows_without_an_item_and_no_rows():
    query, ids, table = numbers()
    expected = loss_of()(query[:3], ids[:3], table)
    ids = torch.cat([ids[:3], torch.tensor([0, 15, -1])])
    query[3:] = torch.nan
    found = loss_of()(query.requires_grad_(), ids, table)
    found.backward()
    torch.testing.assert_close(found, expected)
    assert query.grad.isfinite().all() and table.weight.grad.isfinite().all()
    assert loss_of()(query[:0], ids[:0], table) == 0


@pytest.mark.parametrize("scale", [1e30, torch.nan, torch.inf])
def test_large_vectors_are_clipped_and_nan_propagates(scale):
    query, ids, table = numbers()
    weight = table.weight.detach().clone()
    weight[9] *= scale
    weight.requires_grad_()
    found = loss_of()(query, ids, weight)
    found.backward()
    assert found.isfinite() == weight.grad[:9].isfinite().all() == (scale == 1e30)


def test_frozen_tables_and_mixed_precision():
    query, ids, table = numbers()
    expected = loss_of()(query, ids, table)
    query.requires_grad_(), table.requires_grad_(False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss_of()(query, ids, table)
    found.backward()
    torch.testing.assert_close(found, expected)
    assert query.grad.any() and table.weight.grad is None


def test_a_compiled_step_is_the_eager_step():
    query, ids, table = numbers()
    other = copy.deepcopy(table)
    step = torch.compile(loss_of(), fullgraph=True, backend="aot_eager")
    losses = [f(query, ids, t, ids[:, None]) for f, t in ((loss_of(), table), (step, other))]
    sum(losses).backward()
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(table.weight.grad, other.weight.grad)


def test_refused():
    query, ids, table = numbers()
    with pytest.raises(PopSamplerError, match="sparse=True"):
        loss_of()(query, ids, torch.nn.Embedding(16, 4, sparse=True))
    with pytest.raises(PopSamplerError, match="no sampled_values"):
        loss_of()(query, ids, table, sampled_values=(ids, ids))
    with pytest.raises(PopSamplerError, match="sources of negatives"):
        Mixture([AllItems(14, 3)])


def test_second_derivatives_are_pytorch_s():
    """Computes a gradient penalty, by autograd and by torch.func."""
    query, ids, table = numbers()
    found, expected = [], []
    for full, results in ((loss_of(reduction="sum"), found), (None, expected)):

        def loss(query, weight, full=full):
            return full(query, ids, weight) if full else by_pytorch(query, ids, weight).sum()

        inputs = query.clone().requires_grad_(), table.weight.detach().clone().requires_grad_()
        gradients = torch.autograd.grad(loss(*inputs), inputs, create_graph=True)
        sum((each**2).sum() for each in gradients).backward()
        results.extend(each.grad for each in inputs)
        results.extend(torch.func.grad(loss, (0, 1))(*(each.detach() for each in inputs)))
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
