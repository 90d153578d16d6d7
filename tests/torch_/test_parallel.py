"""Tests that concurrent draws differ: workers, lanes of `vmap`, threads, ranks.

Workers are forked or spawned, persistent or not, with a seed or not. Lanes are nested, compiled or
shared. Threads run eager or compiled code. Ranks begin after the compilation, or have workers.
"""

import json
import pickle
import threading
import types

import numpy as np
import pytest
import torch
from torch import distributed
from torch.nn import functional

from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss
from tests.support.processes import run_python, run_two_ranks


def sampler(seed=17, num=20, **settings):
    return PopularityBasedSampler(402, 3, num, seed, **settings)


def following(count, **settings):
    layer = sampler(**settings)
    return [layer.sample_ids().tolist() for _ in range(count)]


# ------------------------------------------------------------------ workers


class Collate:
    def __init__(self, layer):
        self.layer = layer

    def __call__(self, batch):
        return self.layer.sample_ids()


def epochs(layer, count=2, **settings):
    """Returns the batches of some epochs, eight in each from two workers."""
    torch.manual_seed(5)
    data = torch.utils.data.DataLoader(
        range(16), batch_size=2, num_workers=2, collate_fn=Collate(layer), **settings
    )
    return [tuple(batch.tolist()) for _ in range(count) for batch in data]


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("seed", [17, None])
@pytest.mark.parametrize("drawn_before", [0, 1])
def test_workers_that_are_forked(seed, persistent, drawn_before):
    """Regression: only 4 of 16 batches differed, and every epoch repeated them."""
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        layer = sampler(seed)
        own = [tuple(layer.sample_ids().tolist()) for _ in range(drawn_before)]
        drawn = epochs(layer, persistent_workers=persistent)
        own += [tuple(layer.sample_ids().tolist()) for _ in range(4)]
        assert len({*drawn, *own}) == 16 + len(own)
        runs.append(drawn)
    assert runs[0] == runs[1]


def test_the_trainer_s_draws_are_those_without_workers():
    layer = sampler()
    epochs(layer, 1)
    assert [layer.sample_ids().tolist() for _ in range(3)] == following(3)


SPAWNED = """
import json
import torch
from merlin_popsampler.torch import PopularityBasedSampler


class Collate:
    def __init__(self, layer):
        self.layer = layer

    def __call__(self, batch):
        return self.layer.sample_ids()


if __name__ == "__main__":
    torch.manual_seed(5)
    layer = PopularityBasedSampler(402, 3, 20, 17)
    data = torch.utils.data.DataLoader(
        range(16), batch_size=2, num_workers=2, collate_fn=Collate(layer),
        multiprocessing_context="spawn", persistent_workers=True,
    )
    drawn = []
    for _ in range(2):
        for batch in data:
            drawn.append(batch.tolist())
            drawn.append(layer.sample_ids().tolist())
    print(json.dumps(drawn))
"""


def test_workers_that_are_spawned():
    """They share memory with the trainer, whose draws must not depend on those of workers."""
    drawn = json.loads(run_python(SPAWNED).splitlines()[-1])
    assert len({tuple(ids) for ids in drawn}) == 32
    assert drawn[1::2] == following(16)
    # The draw of a new stream by the key of the worker, as in forked workers.
    assert [tuple(ids) for ids in drawn[::2]] == epochs(sampler(), persistent_workers=True)


SHARED = """
import json
import multiprocessing
from merlin_popsampler.torch import PopularityBasedSampler


def draw(layer, queue):
    queue.put(layer.sample_ids().tolist())


if __name__ == "__main__":
    layer = PopularityBasedSampler(402, 3, 20, 17)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=draw, args=(layer, queue))
    child.start()
    drawn = [queue.get(timeout=100)]
    child.join()
    print(json.dumps([*drawn, layer.sample_ids().tolist()]))
"""


def test_a_spawned_process_shares_the_position():
    """The page says so; build a sampler in each process to avoid it."""
    assert json.loads(run_python(SHARED).splitlines()[-1]) == following(2)


def test_a_process_that_is_forked_during_a_draw():
    """The child must not wait for a lock of a thread that it does not have."""
    program = """
import os
from merlin_popsampler.torch import PopularityBasedSampler, stream
layer = PopularityBasedSampler(402, 3, 20, 17)
layer.sample_ids()
with stream._locks[os.getpid()]:
    child = os.fork()
    if not child:
        layer.sample_ids()
        os._exit(7)
    print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
"""
    assert run_python(program).split() == ["7"]


# ------------------------------------------------------------------ lanes


def in_lanes(layer, randomness, sizes=(4,), compiled=False):
    def draw(x):
        return layer.sample_ids() + 0 * x

    for _ in sizes:
        draw = torch.vmap(draw, randomness=randomness)
    if compiled:
        torch.compiler.reset()
        draw = torch.compile(draw, fullgraph=True, backend="aot_eager")
    return draw(torch.zeros(sizes, dtype=torch.int64)).reshape(-1, layer.max_num_samples).tolist()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("seed", [17, None])
def test_lanes_draw_the_next_batches(seed, compiled):
    """Regression: all lanes got one batch, in every mode of randomness."""
    torch.manual_seed(17)
    layer = sampler(seed)
    assert in_lanes(layer, "different", compiled=compiled) == following(4)
    assert in_lanes(layer, "same", compiled=compiled) == [following(5)[-1]] * 4
    assert layer.sample_ids().tolist() == following(6)[-1]


def test_lanes_inside_lanes():
    layer = sampler()
    assert in_lanes(layer, "different", (2, 3)) == following(6)
    assert layer.sample_ids().tolist() == following(7)[-1]


@pytest.mark.parametrize(("num", "unique"), [(20, True), (390, True), (20, False)])
def test_lanes_in_every_way_of_drawing(num, unique):
    layer = sampler(num=num, unique=unique)
    assert in_lanes(layer, "different") == following(4, num=num, unique=unique)


def test_lanes_that_may_not_be_random():
    layer = sampler()
    with pytest.raises(RuntimeError, match="randomness error mode"):
        in_lanes(layer, "error")
    assert layer.sample_ids().tolist() == following(1)[0]


# ------------------------------------------------------------------ threads


@pytest.mark.parametrize("compiled", [False, True])
def test_threads_draw_different_batches(compiled):
    """Regression: only 3,391 of 4,000 batches differed.

    Compiled code is PyTorch's default; its debugging backends run the operator on a copy.
    """
    layer = sampler()
    torch.compiler.reset()
    draw = torch.compile(layer.sample_ids, fullgraph=True) if compiled else layer.sample_ids
    first, drawn = draw().tolist(), []

    def work():
        torch.set_num_threads(1)
        drawn.extend([tuple(draw().tolist()) for _ in range(500)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == 4000
    assert layer.stream.state[0] == 4001
    assert sorted(drawn)[:50] == sorted(map(tuple, following(4001)[1:]))[:50]
    assert first == following(1)[0]


# ------------------------------------------------------------------ ranks

RANKS = """
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from merlin_popsampler.torch import PopularityBasedSampler as P, SampledSoftmaxLoss


class Collate:
    def __init__(self, layer):
        self.layer = layer

    def __call__(self, batch):
        return self.layer.sample_ids()


def batches():
    layer = P(402, 3, 20, 17)
    torch.manual_seed(5)  # equal on all ranks, as their first weights should be
    data = torch.utils.data.DataLoader(
        range(2), batch_size=1, num_workers=1, collate_fn=Collate(layer)
    )
    return [batch.tolist() for batch in data]


def sharded():
    from torch.distributed.fsdp import fully_shard

    def model():
        return torch.nn.Sequential(torch.nn.Linear(2, 2), P(402, 3, 20, 17))

    saved = model()
    saved[1].sample_ids()
    with torch.device("meta"):
        fresh = model()
    fully_shard(fresh, mesh=distributed.init_device_mesh("cpu", (2,)))
    fresh.to_empty(device="cpu")
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(fresh, saved.state_dict() if rank == 0 else {}, options=options)
    return fresh[1].sample_ids().tolist()


def gradients(rows, compiled=False, **settings):
    # Of a table under DistributedDataParallel, where each rank has its share of the rows.
    torch.manual_seed(5)
    queries, ids = torch.randn(17, 4), torch.randint(3, 15, (17,))
    model = Model(**settings)
    model = torch.nn.parallel.DistributedDataParallel(model)
    own = slice(0, rows[0]) if rank == 0 else slice(rows[0], sum(rows))
    given = torch.zeros(17, dtype=torch.int64)  # which stands for no item
    given[own] = ids[own]
    run = torch.compile(model.module, fullgraph=True, backend="aot_eager") if compiled else model
    loss = run(queries, given)
    loss.backward()
    if compiled:
        return loss.item()
    if rank == 1:  # alone
        model.module.eval()(queries, ids)
        model.module.loss.evaluate(queries, ids, model.module.items)
        with torch.no_grad():
            model.module.train()(queries, ids)
    return model.module.items.weight.grad.tolist(), loss.item()


class Model(torch.nn.Module):
    def __init__(self, **settings):
        super().__init__()
        self.items = torch.nn.Embedding(15, 4)
        # All items are sampled, so the loss is that of the full softmax.
        self.loss = SampledSoftmaxLoss(P(14, 3, 12, 17), **settings)

    def forward(self, queries, ids):
        return self.loss(queries, ids, self.items)


compiled = torch.compile(P(402, 3, 20, 17).sample_ids, fullgraph=True, backend="eager")
answer = {"before": [compiled().tolist()]}
join_ranks()
answer["after"] = [compiled().tolist()]
answer["workers"] = batches()
answer["sharded"] = [sharded()]
answer["means"] = {
    "across": gradients((16, 1), across_ranks=True),
    "one alone": gradients((17, 0), across_ranks=True),
    "none": gradients((0, 0), across_ranks=True),
    "compiled": gradients((16, 1), compiled=True, across_ranks=True),
    "own": gradients((16, 1)),
}


def all_reduces(steps=3):
    # The sizes of what the loss itself reduces, in training steps and in an evaluation.
    sizes, reduce = [], torch.distributed.all_reduce

    def recorded(tensor, *args, **kwargs):
        sizes.append(tensor.numel())
        return reduce(tensor, *args, **kwargs)

    torch.distributed.all_reduce = recorded
    model, queries, ids = Model(across_ranks=True), torch.randn(5, 4), torch.arange(3, 8)
    for _ in range(steps):
        model(queries, ids).backward()
    model.eval()(queries, ids)
    torch.distributed.all_reduce = reduce
    return sizes


answer["all-reduces"] = all_reduces()


def resumed(seed):
    # From the checkpoint of the first rank, on both.
    saved, fresh, states = P(402, 3, 20, seed), P(402, 3, 20, seed), [None, None]
    saved.sample_ids()
    distributed.all_gather_object(states, saved.state_dict())
    fresh.load_state_dict(states[0])
    return fresh.sample_ids().tolist() == saved.sample_ids().tolist()


torch.manual_seed(rank)
answer["resumed"] = [resumed(17), resumed(None)]
"""


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory):
    return run_two_ranks(RANKS, tmp_path_factory.mktemp("ranks"), join=False)


def test_a_checkpoint_of_one_rank_serves_all_ranks_of_one_seed(of_ranks):
    """As the page PyTorch says. In the second case the ranks have different seeds."""
    assert [answer["resumed"] for answer in of_ranks] == [[True, True], [True, False]]


def test_ranks_that_begin_after_the_compilation(of_ranks):
    """Regression: compiled code looks the rank up when it runs."""
    assert [answer["before"][0] for answer in of_ranks] == following(1) * 2
    assert of_ranks[0]["after"] == following(2)[1:] != of_ranks[1]["after"]


def test_a_mean_over_ranks_takes_one_all_reduce_of_a_number(of_ranks):
    assert [answer["all-reduces"] for answer in of_ranks] == [[1, 1, 1]] * 2


def test_workers_of_ranks(of_ranks):
    drawn = [tuple(ids) for answer in of_ranks for ids in answer["workers"]]
    assert len(set(drawn)) == 4


def test_spawned_workers_of_ranks(monkeypatch):
    """A spawned worker has no process group, so its sampler is pickled with the rank."""
    pickled = []
    for rank in (0, 1, 0):
        monkeypatch.setattr(distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        pickled.append(pickle.dumps(sampler()))
    monkeypatch.undo()
    info = types.SimpleNamespace(id=0, seed=5, num_workers=1)
    monkeypatch.setattr(torch.utils.data._utils.worker, "_worker_info", info)
    drawn = [pickle.loads(data).sample_ids().tolist() for data in pickled]
    assert drawn[0] == drawn[2] != drawn[1]
    monkeypatch.undo()
    assert [pickle.loads(data).sample_ids().tolist() for data in pickled] == following(1) * 3


def test_a_model_that_is_sharded_while_empty(of_ranks):
    """Regression: usual with FSDP2, only rank 0 has the saved state."""
    assert of_ranks[0]["sharded"] == following(2)[1:] != of_ranks[1]["sharded"]


def test_the_mean_over_the_rows_of_all_ranks(of_ranks):
    """Regression: 16 rows on one rank and 1 on the other were averaged as two means.

    Cases: one rank or all ranks without rows, compiled code, and a rank that alone evaluates or
    runs without gradients. It would wait forever if it communicated.
    """
    torch.manual_seed(5)
    queries, ids = torch.randn(17, 4), torch.randint(3, 15, (17,))
    table = torch.nn.Embedding(15, 4).weight
    losses = functional.cross_entropy(queries @ table[3:].T, ids - 3, reduction="none")
    expected = torch.autograd.grad(losses.mean(), table, retain_graph=True)[0].numpy()
    means = 0.5 * (losses[:16].mean() + losses[16:].mean())
    of_means = torch.autograd.grad(means, table, retain_graph=True)[0].numpy()
    for name in ("across", "one alone"):
        found = [answer["means"][name] for answer in of_ranks]
        assert np.mean([loss for _, loss in found]) == pytest.approx(losses.mean().item(), rel=1e-5)
        for gradient, _ in found:
            np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    for answer in of_ranks:
        assert not np.any(answer["means"]["none"][0])
        np.testing.assert_allclose(answer["means"]["own"][0], of_means, rtol=1e-4, atol=1e-6)
        assert answer["means"]["compiled"] == pytest.approx(answer["means"]["across"][1], rel=1e-5)
    assert np.abs(of_means - expected).max() > 1e-3


def test_without_a_process_group_the_ranks_are_one():
    losses = []
    for settings in ({}, {"across_ranks": True}):
        loss = SampledSoftmaxLoss(sampler(num=12), **settings)
        torch.manual_seed(5)
        losses.append(loss(torch.randn(6, 4), [3, 4, 0, 7, 7, 2], torch.randn(403, 4)).item())
    assert losses[0] == losses[1]
