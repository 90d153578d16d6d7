"""Tests that a warm start moves each row to the new id of its item, completely or not at all.

The oracle gives each item's row a value of its own, keeps (item, value) in a dict, and asks by item
afterwards: it does no arithmetic with ids.
"""

import copy
import io

import numpy as np
import pytest
import torch

from merlin_popsampler import IdMap, PopSamplerError
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.id_map import MovedRows
from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss, warm_start

OLD_ITEMS = ["tea", "milk", "jam", "rice", "salt"]
NEW_ITEMS = ["milk", "corn", "tea", "salt", "oats", "rice", "plum"]
OLD, NEW = IdDomain(3, 7), IdDomain(3, 9)
DIM = 4
NAMES = [0, 1, 2]  # padding, null and unknown keys keep their ids
OLD_IDS = dict(zip([*NAMES, *OLD_ITEMS], range(8)))
NEW_IDS = dict(zip([*NAMES, *NEW_ITEMS], range(10)))
IDS = IdMap([NEW_IDS.get(name, -1) for name in OLD_IDS], OLD, NEW)
KEPT = [name for name in OLD_IDS if name in NEW_IDS]
ADDED = [NEW_IDS[name] for name in NEW_IDS if name not in OLD_IDS]


class Model(torch.nn.Module):
    """A model with an input table, an output table, and a Linear that scores items."""

    def __init__(self, domain, seed, shared=False):
        super().__init__()
        torch.manual_seed(seed)
        self.read = torch.nn.Embedding(domain.cardinality, DIM)
        self.items = self.read if shared else torch.nn.Embedding(domain.cardinality, DIM)
        self.head = torch.nn.Linear(DIM, domain.cardinality)
        self.norm = torch.nn.BatchNorm1d(DIM)
        self.loss = SampledSoftmaxLoss(
            PopularityBasedSampler(domain.max_id, domain.min_id, 3, seed=17)
        )

    def forward(self, ids):
        return (
            self.loss(self.norm(self.read(ids)), ids, self.items)
            + self.head(self.read(ids)).logsumexp(1).mean()
        )


MAPS = {"read": IDS, "items": IDS, "head": IDS}
OPTIMIZERS = {
    "Adam": lambda p: torch.optim.Adam(p, 0.01),
    "AMSGrad": lambda p: torch.optim.Adam(p, 0.01, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, 0.01),
    "Adagrad": lambda p: torch.optim.Adagrad(p, 0.01),
    "Adagrad from 0.5": lambda p: torch.optim.Adagrad(p, 0.01, initial_accumulator_value=0.5),
    "SGD": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
    "SGD without momentum": lambda p: torch.optim.SGD(p, 0.01),
}


def train(model, optimizer, domain, steps=3):
    ids = torch.arange(domain.min_id, domain.max_id + 1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(ids).backward()
        optimizer.step()


def trained(make=OPTIMIZERS["Adam"], **options):
    model = Model(OLD, 1, **options)
    optimizer = make(model.parameters())
    train(model, optimizer, OLD)
    return model, optimizer


def by_name(ids, rows):
    return {name: rows[at].tolist() for name, at in ids.items()}


def assert_moved(new_rows, old_rows):
    before, now = by_name(OLD_IDS, old_rows), by_name(NEW_IDS, new_rows)
    assert {name: now[name] for name in KEPT} == {name: before[name] for name in KEPT}


def snapshot(*parts):
    """Returns the bytes of the saved state of each part."""
    saved = []
    for part in parts:
        buffer = io.BytesIO()
        torch.save(part.state_dict(), buffer)
        saved.append(buffer.getvalue())
    return saved


@pytest.mark.parametrize("shared", [False, True], ids=["two tables", "one table"])
def test_rows_follow_their_items(shared):
    (old, _), new = trained(shared=shared), Model(NEW, 2, shared)
    before = snapshot(old)
    report = warm_start(new, old, MAPS)
    assert snapshot(old) == before
    for name in ("read.weight", "items.weight", "head.weight", "head.bias"):
        assert_moved(new.get_parameter(name), old.get_parameter(name))
    assert torch.equal(new.norm.running_mean, old.norm.running_mean)
    tables = ["read.weight", *([] if shared else ["items.weight"]), "head.weight", "head.bias"]
    assert report.tables == dict.fromkeys(tables, MovedRows(7, 3, 1))
    assert report.copied == [f"norm.{name}" for name in old.norm.state_dict()]
    assert report.left == []


def test_draws_go_on_over_the_new_catalog():
    (old, _), new = trained(), Model(NEW, 2)
    untouched = Model(NEW, 2).loss.negatives.samplers[0]
    warm_start(new, old, MAPS)
    for _ in range(3):
        untouched.sample_ids()  # as many batches as the old model drew
    assert torch.equal(new.loss.negatives.samplers[0].sample_ids(), untouched.sample_ids())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_slots_follow_their_rows(name):
    old, old_optimizer = trained(OPTIMIZERS[name])
    new = Model(NEW, 2)
    optimizer = OPTIMIZERS[name](new.parameters())
    optimizer.param_groups[0]["lr"] = 0.5
    report = warm_start(new, old, MAPS, optimizer=optimizer, old_optimizer=old_optimizer)
    first = 0.5 if "0.5" in name else 0.0
    moved = {}
    for path, parameter in new.named_parameters():
        before = old_optimizer.state[old.get_parameter(path)]
        now = optimizer.state[parameter]
        assert now.keys() == before.keys()
        for slot, value in now.items():
            if value is None or value.ndim == 0:
                assert value == before[slot]
            elif path.split(".")[0] in MAPS:
                assert_moved(value, before[slot])
                assert (value[ADDED] == first).all()
                moved.setdefault(path, []).append(slot)
            else:
                assert torch.equal(value, before[slot])
    assert {name: slots for name, slots in report.slots.items() if slots} == moved
    assert bool(moved) == (name != "SGD without momentum")
    assert optimizer.param_groups[0]["lr"] == 0.5
    train(new, optimizer, NEW)


def test_what_is_warm_started_trains_as_if_nothing_had_been_renumbered():
    """With the same items under other ids, the next steps are equal, row by row."""
    order = np.random.default_rng(3).permutation(5)
    same = IdMap([0, 1, 2, *(3 + order)], OLD, OLD)
    model, optimizer = trained()
    new = Model(OLD, 2)
    new_optimizer = OPTIMIZERS["Adam"](new.parameters())
    warm_start(
        new,
        model,
        {"read": same, "items": same, "head": same},
        optimizer=new_optimizer,
        old_optimizer=optimizer,
    )
    for one, its_optimizer, ids in (
        (model, optimizer, torch.tensor([3, 4, 6])),
        (new, new_optimizer, torch.tensor(same.new_ids[[3, 4, 6]])),
    ):
        for _ in range(3):
            its_optimizer.zero_grad()
            one.head(one.norm(one.read(ids))).logsumexp(1).sum().backward()
            its_optimizer.step()
    now = torch.from_numpy(same.new_ids.copy())
    torch.testing.assert_close(new.read.weight[now], model.read.weight)
    torch.testing.assert_close(new.head.bias[now], model.head.bias)


def test_state_dicts_will_do():
    old, optimizer = trained()
    news = [Model(NEW, 2) for _ in range(2)]
    optimizers = [OPTIMIZERS["Adam"](new.parameters()) for new in news]
    saved = copy.deepcopy([old.state_dict(), optimizer.state_dict()])
    pairs = ((old, optimizer), saved)
    for new, its, (before, its_before) in zip(news, optimizers, pairs):
        warm_start(new, before, MAPS, optimizer=its, old_optimizer=its_before)
    assert snapshot(news[0], optimizers[0]) == snapshot(news[1], optimizers[1])


def test_one_table_alone():
    old, new = torch.nn.Embedding(8, DIM), torch.nn.Embedding(10, DIM)
    assert warm_start(new, old, IDS).tables == {"weight": MovedRows(7, 3, 1)}
    assert_moved(new.weight, old.weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_new_items_begin_with_the_mean_of_the_items_that_stayed(dtype):
    old, new = (torch.nn.Embedding(ids.cardinality, DIM, dtype=dtype) for ids in (OLD, NEW))
    warm_start(new, old, IDS)
    kept = [OLD_IDS[name] for name in KEPT if name not in NAMES]
    mean = old.weight.detach().double().numpy()[kept].mean(0)
    expected = torch.from_numpy(mean).to(dtype).expand(3, DIM)
    torch.testing.assert_close(new.weight[ADDED].detach(), expected)


def test_new_items_begin_as_unknown_keys():
    old, new = torch.nn.Embedding(8, DIM), torch.nn.Embedding(10, DIM)
    warm_start(new, old, IDS, new_items="out of vocabulary")
    assert torch.equal(new.weight[ADDED], old.weight[[2, 2, 2]])


def test_new_items_begin_as_they_were_initialized():
    old, new = torch.nn.Embedding(8, DIM), torch.nn.Embedding(10, DIM)
    expected = new.weight[ADDED].clone()
    warm_start(new, old, IDS, new_items="as initialized")
    assert torch.equal(new.weight[ADDED], expected)


def test_new_items_begin_by_an_initializer():
    old, new = torch.nn.Embedding(8, DIM), torch.nn.Embedding(10, DIM)
    warm_start(new, old, IDS, new_items=torch.nn.init.ones_)
    assert (new.weight[ADDED] == 1).all()
    assert_moved(new.weight, old.weight)


def test_rows_beyond_the_ids_stay():
    old, new = torch.nn.Embedding(16, DIM), torch.nn.Embedding(16, DIM)
    expected = new.weight[10:].clone()
    warm_start(new, old, IDS)
    assert torch.equal(new.weight[10:], expected)


def test_rows_move_in_slices(monkeypatch):
    monkeypatch.setattr("merlin_popsampler.torch.row_moves._ROWS", 2)
    old, new = torch.nn.Embedding(8, DIM), torch.nn.Embedding(10, DIM)
    warm_start(new, old, IDS)
    assert_moved(new.weight, old.weight)
    torch.testing.assert_close(new.weight[ADDED[0]], old.weight[[3, 4, 6, 7]].mean(0))


def test_only_saved_buffers_are_copied():
    old, new = (torch.nn.BatchNorm1d(2) for _ in range(2))
    for module, value in ((old, 5.0), (new, 7.0)):
        module.register_buffer("unsaved", torch.tensor(value), persistent=False)
        module.running_mean.fill_(value)
    warm_start(new, old, {})
    assert new.running_mean.tolist() == [5.0, 5.0] and new.unsaved == 7.0


def test_none_leaves_a_table_as_it_is():
    (old, _), new = trained(), Model(NEW, 2)
    expected = new.items.weight.clone()
    report = warm_start(new, old, {**MAPS, "items": None})
    assert torch.equal(new.items.weight, expected)
    assert report.left == ["items.weight"]


def test_a_part_of_a_name_will_do_and_the_longest_counts():
    olds, news = (
        torch.nn.ModuleDict(
            {
                "tables": torch.nn.ModuleDict({"item_id": torch.nn.Embedding(rows, DIM)}),
                "item_id": torch.nn.Embedding(rows, DIM),
            }
        )
        for rows in (8, 10)
    )
    report = warm_start(news, olds, {"item_id": IDS})
    assert sorted(report.tables) == ["item_id.weight", "tables.item_id.weight"]
    report = warm_start(news, olds, {"item_id": IDS, "tables.item_id": None})
    assert report.left == ["tables.item_id.weight"]


def test_samplers_of_unsorted_ids_keep_the_ranks_of_the_new_counts():
    old, new = (
        torch.nn.ModuleDict(
            {"sampler": PopularityBasedSampler.from_counts(counts, max_num_samples=2, seed=1)}
        )
        for counts in ({3: 1, 4: 2, 5: 3}, {3: 3, 4: 1, 5: 2})
    )
    old["sampler"].sample_ids()
    expected = copy.deepcopy(new["sampler"])
    expected.sample_ids()
    warm_start(new, old, {})
    assert torch.equal(new["sampler"].sample_ids(), expected.sample_ids())


# ------------------------------------------------------------------ refusals


def refused(says, new, old, maps=MAPS, optimizers=(None, None), **options):
    """Checks that a warm start fails, and leaves its arguments unchanged."""
    parts = [part for part in (new, old, *optimizers) if hasattr(part, "state_dict")]
    before = snapshot(*parts)
    with pytest.raises(PopSamplerError, match=says):
        warm_start(new, old, maps, optimizer=optimizers[0], old_optimizer=optimizers[1], **options)
    assert snapshot(*parts) == before


@pytest.mark.parametrize("name", MAPS)
def test_a_table_without_a_name_is_refused(name):
    maps = {other: IDS for other in MAPS if other != name}
    refused(f"Weight '{name}.*Add its name", Model(NEW, 2), trained()[0], maps)


@pytest.mark.parametrize("name", MAPS)
def test_a_table_of_equal_rows_without_a_name_is_refused(name):
    same = IdMap(np.arange(8), OLD, OLD)
    maps = {other: same for other in MAPS if other != name}
    refused(f"Weight '{name}.*Add its name", Model(OLD, 2), trained()[0], maps)


def test_the_map_of_another_fit_is_refused():
    other = IdMap(np.arange(9), IdDomain(3, 8), NEW)
    refused("Table 'read.weight'", Model(NEW, 2), trained()[0], dict.fromkeys(MAPS, other))


def test_other_models_are_refused():
    old, new = trained()[0], Model(NEW, 2)
    refused("names of modules", new, old, {**MAPS, "item": IDS})
    del new.norm
    refused("weights of the same names", new, old)
    new.norm = torch.nn.BatchNorm1d(DIM)
    new.extra = torch.nn.Linear(1, 1)
    refused("weights of the same names", new, old)
    refused("weights of the same names", Model(NEW, 2), {})


def test_a_model_without_the_stream_is_refused():
    old = trained()[0].state_dict()
    del old["loss.negatives.sources.0.stream._extra_state"]
    refused("weights of the same names", Model(NEW, 2), old)


def test_weights_that_are_shared_in_one_model_alone():
    separate, shared = Model(OLD, 1), Model(NEW, 2, shared=True)
    refused("different values in the old model", shared, separate)
    other = IdMap(np.append(IDS.new_ids[:7], -1), OLD, NEW)
    old = Model(OLD, 1, shared=True)
    refused("different id maps", shared, old, {**MAPS, "items": other})
    new = Model(NEW, 2)
    warm_start(new, old, MAPS)
    assert torch.equal(new.read.weight[:8], new.items.weight[:8])


def test_a_copy_of_a_dict_shares_its_tensors():
    table, same = torch.nn.Embedding(8, DIM), IdMap(np.arange(8), OLD, OLD)
    refused(r"copy.deepcopy\(old.state_dict", table, dict(table.state_dict()), same)
    assert warm_start(table, copy.deepcopy(table.state_dict()), same).tables


def test_one_model_is_not_both():
    same = IdMap(np.arange(8), OLD, OLD)
    model = trained()[0]
    for old in (model, model.state_dict()):
        refused("share no memory", model, old, dict.fromkeys(MAPS, same))


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_an_optimizer_of_another_class_is_refused(make):
    old, old_optimizer = trained(make)
    new = Model(NEW, 2)
    refused(
        "one class",
        new,
        old,
        optimizers=(torch.optim.RMSprop(new.parameters(), 0.01), old_optimizer),
    )


def test_optimizers_that_do_not_go_together_are_refused():
    old, old_optimizer = trained()
    new = Model(NEW, 2)
    part = OPTIMIZERS["Adam"](list(new.parameters())[:2])
    refused("same groups of parameters", new, old, optimizers=(part, old_optimizer))
    optimizer = OPTIMIZERS["Adam"](new.parameters())
    refused("together", new, old, optimizers=(optimizer, None))
    refused("together", new, old, optimizers=(None, old_optimizer))
    turned = OPTIMIZERS["Adam"](list(new.parameters())[::-1])
    refused("optimizer slots of its own shape", new, old, optimizers=(turned, old_optimizer))


def test_a_checkpoint_is_not_the_state_of_its_optimizer():
    old, old_optimizer = trained()
    new = Model(NEW, 2)
    saved = {"model": old.state_dict(), "optimizer": old_optimizer.state_dict()}
    optimizers = OPTIMIZERS["Adam"](new.parameters()), saved
    refused("dict of .'model', 'optimizer'.*part of a checkpoint", new, old, optimizers=optimizers)


def test_slots_of_an_unknown_shape_are_refused():
    old, old_optimizer = trained()
    new = Model(NEW, 2)
    optimizer = OPTIMIZERS["Adam"](new.parameters())
    old_optimizer.state[old.read.weight]["exp_avg"] = torch.zeros(8, 1)
    refused("optimizer slots of its own shape", new, old, optimizers=(optimizer, old_optimizer))


def test_numbers_of_items_are_not_averaged():
    old, new = torch.nn.Module(), torch.nn.Module()
    for module, ids in ((old, OLD), (new, NEW)):
        module.register_buffer("category", torch.arange(ids.cardinality))
    refused("floating-point", new, old, {"category": IDS})
    assert warm_start(new, old, {"category": None}).left == ["category"]


def test_an_initializer_that_fails_changes_nothing():
    def initializer(rows):
        raise PopSamplerError("no memory")

    refused("no memory", Model(NEW, 2), trained()[0], new_items=initializer)


def test_what_new_items_cannot_begin_with():
    for other in ("zeros", ["mean"], torch.nn.Embedding):
        refused("Expected new_items", Model(NEW, 2), trained()[0], new_items=other)
    bare = IdMap([0, 1, 2], IdDomain(2, 2), IdDomain(2, 3))
    old = torch.nn.Embedding(3, DIM)
    new = torch.nn.Embedding(4, DIM)
    gone = IdMap([0, 1, -1], IdDomain(2, 2), IdDomain(2, 3))
    refused("ids of unknown keys", new, old, bare, new_items="out of vocabulary")
    refused("items that both fits have", new, old, gone)


# ------------------------------------------------------------------ tensors of other kinds


@pytest.mark.parametrize("side", ["new", "old"])
def test_sharded_tables_are_refused(side, tmp_path):
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    old, new = trained()[0], Model(NEW, 2)
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        sharded = {"new": new, "old": old}[side]
        expected = {name: value.clone() for name, value in sharded.named_parameters()}
        fully_shard(sharded, mesh=init_device_mesh("cpu", (1,)))
        with pytest.raises(PopSamplerError, match="holds all of its values"):
            warm_start(new, old, MAPS)
        for name, value in sharded.named_parameters():
            assert torch.equal(value.full_tensor(), expected[name])
    finally:
        distributed.destroy_process_group()


def test_a_model_that_has_no_memory_yet_is_refused():
    with pytest.raises(PopSamplerError, match="holds all of its values"):
        warm_start(Model(NEW, 2).to("meta"), trained()[0], MAPS)


def test_tables_of_a_compiled_model_move():
    old, new = trained()[0], Model(NEW, 2)
    warm_start(torch.compile(new), torch.compile(old), MAPS)
    assert_moved(new.read.weight, old.read.weight)


def test_gradients_are_as_they_were():
    old, new = trained()[0], Model(NEW, 2)
    warm_start(new, old, MAPS)
    assert all(parameter.requires_grad for parameter in new.parameters())
    assert new.read.weight.is_leaf


def test_a_path_is_no_earlier_model():
    ids = IdMap([0, 1], IdDomain(0, 1), IdDomain(0, 1))
    with pytest.raises(PopSamplerError, match="the earlier model or its state_dict.*Received: str"):
        warm_start(torch.nn.Embedding(2, 2), "old.pt", ids)


def test_a_state_dict_is_no_new_model():
    table = torch.nn.Embedding(2, 2)
    ids = IdMap([0, 1], IdDomain(0, 1), IdDomain(0, 1))
    with pytest.raises(PopSamplerError, match="new model itself.*Received: OrderedDict"):
        warm_start(table.state_dict(), table.state_dict(), ids)
