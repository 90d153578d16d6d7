"""Tests that a sampler survives what PyTorch does to the tensors of a model.

Cases: the ways to begin on the meta device, averages of weights, checkpoints of each format,
functional calls, memory that processes share, moves without `Module.to`.
"""

import contextlib
import copy

import pytest
import torch
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.optim import swa_utils

from merlin_popsampler import PopSamplerError
from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss
from tests.support.golden_samplers import sampler_of
from tests.support.torch_draws import TRUE_IDS, drawn_by

CASES = [
    "log-uniform, 390 of 400, a race",
    "log-uniform, 1000 of 1e6",
    "measured, 20000 of 1e6, a head",
    "uniform, 1000 of 1e6",
]


class Model(torch.nn.Module):
    """A model of a layer, a norm with buffers, and a sampler."""

    def __init__(self, case=CASES[0], device=None):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2, device=device)
        self.norm = torch.nn.BatchNorm1d(2, device=device)
        with torch.device(device) if device else contextlib.nullcontext():
            self.sampler = sampler_of(PopularityBasedSampler, case)

    def forward(self, x):
        return self.norm(self.layer(x)), self.sampler(TRUE_IDS)


def saved(case):
    """Returns a model that has drawn twice."""
    model = Model(case)
    drawn_by(model.sampler, 2)
    return model


def assert_goes_on(sampler, original, batches=3):
    """Asserts the same next draws and expected counts as of the original."""
    found, expected = drawn_by(sampler, batches), drawn_by(original, batches)
    for values, others in zip(found, expected):
        assert all(torch.equal(*pair) for pair in zip(values, others))


# ------------------------------------------------------------------ the meta device


def empty(case):
    with torch.device("meta"):
        return Model(case)


@contextlib.contextmanager
def registered_on_meta(*names):
    """Imitates accelerate's `init_empty_weights`: registered tensors are on the meta device."""
    originals = {name: getattr(torch.nn.Module, name) for name in names}

    def on_meta(name):
        def register(module, key, value, *args, **kwargs):
            originals[name](module, key, value, *args, **kwargs)
            store = module._parameters if name == "register_parameter" else module._buffers
            if value is not None:
                moved = store[key].detach().to("meta")
                is_buffer = name == "register_buffer"
                store[key] = moved if is_buffer else torch.nn.Parameter(moved)

        return register

    try:
        for name in names:
            setattr(torch.nn.Module, name, on_meta(name))
        yield
    finally:
        for name, original in originals.items():
            setattr(torch.nn.Module, name, original)


def to_empty(case, state):
    model = empty(case).to_empty(device="cpu")
    assert str(model.load_state_dict(state, strict=True)) == "<All keys matched successfully>"
    return model


def by_assignment(case, state):
    model = empty(case)
    model.load_state_dict(state, assign=True)
    return model


def skip_init(case, state):
    model = torch.nn.utils.skip_init(Model, case=case)
    model.load_state_dict(state)
    return model


def inside_a_list(case, state):
    with torch.device("meta"):
        models = torch.nn.ModuleList([Model(case), Model(case)])
    models.to_empty(device="cpu")[1].load_state_dict(state)
    return models[1]


def parameters_on_meta(case, state):
    with registered_on_meta("register_parameter"):
        model = Model(case)
    model.load_state_dict(state, assign=True)
    return model


def everything_registered_on_meta(case, state):
    with registered_on_meta("register_parameter", "register_buffer"):
        model = Model(case)
    model.load_state_dict(state, assign=True)
    return model


def through_distributed_checkpoint(case, state):
    model = empty(case).to_empty(device="cpu")
    set_model_state_dict(model, state, options=StateDictOptions(full_state_dict=True))
    return model


def emptied_on_its_device(case, state):
    model = Model(case).to_empty(device="cpu")
    model.load_state_dict(state)
    return model


RECIPES = [
    to_empty,
    by_assignment,
    skip_init,
    inside_a_list,
    parameters_on_meta,
    everything_registered_on_meta,
    through_distributed_checkpoint,
    emptied_on_its_device,
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_model_that_begins_empty(recipe, case):
    """Regression: as buffers, tables had arbitrary values after `to_empty`, without an error."""
    original = saved(case)
    model = recipe(case, copy.deepcopy(original.state_dict()))
    assert_goes_on(model.sampler, original.sampler)
    assert model.sampler.stream.device.type == "cpu"


def test_an_empty_model_that_loads_nothing_begins():
    model = empty(CASES[0]).to_empty(device="cpu")
    assert_goes_on(model.sampler, Model(CASES[0]).sampler)


def test_emptying_a_model_keeps_its_place():
    """Directly on its device, and by way of the meta device."""
    for way in (lambda m: m.to_empty(device="cpu"), lambda m: m.to("meta").to_empty(device="cpu")):
        model, original = saved(CASES[0]), saved(CASES[0])
        assert_goes_on(way(model).sampler, original.sampler)


def test_the_entry_must_be_there():
    state = saved(CASES[0]).state_dict()
    del state["sampler.stream._extra_state"]
    with pytest.raises(RuntimeError, match="Missing key"):
        Model(CASES[0]).load_state_dict(state)


@pytest.mark.parametrize("state", [None, torch.zeros(3), [0, 0, 1], {"key": 1}])
def test_another_entry_is_refused(state):
    """A key that was cast or averaged has become floats."""
    with pytest.raises(PopSamplerError, match="state of a stream"):
        Model().sampler.load_state_dict({"stream._extra_state": state})


def test_a_sampler_that_is_nowhere_refuses_ids():
    for ask in (empty(CASES[0]).sampler, empty(CASES[0]).sampler.expected_count):
        with pytest.raises(PopSamplerError, match="to_empty"):
            ask(TRUE_IDS)


# ------------------------------------------------------------------ averages


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("average", [None, swa_utils.get_ema_multi_avg_fn(0.9)])
def test_averages_of_weights(average, case):
    """Regression: averages with buffers, copied back as by Lightning's callback."""
    model, original = Model(case), Model(case)
    averaged = swa_utils.AveragedModel(model, multi_avg_fn=average, use_buffers=True)
    for _ in range(3):
        model.sampler.sample_ids()
        with torch.no_grad():
            model.layer.weight.add_(1.0)
        averaged.update_parameters(model)
    assert_goes_on(averaged.module.sampler, original.sampler)
    twin = saved(case)
    twin.sampler.sample_ids()
    tensors = [[*each.parameters(), *each.buffers()] for each in (model, averaged.module)]
    with torch.no_grad():
        for own, mean in zip(*tensors):
            own.copy_(mean)
    assert_goes_on(model.sampler, twin.sampler)
    assert not torch.equal(averaged.module.layer.weight, original.layer.weight)


def test_the_statistics_of_an_average():
    """`update_bn` runs the model, which draws further batches."""
    model, twin = Model(), Model()
    swa_utils.update_bn([torch.randn(4, 2)] * 2, model)
    drawn_by(twin.sampler, 2)
    assert_goes_on(model.sampler, twin.sampler)


# ------------------------------------------------------------------ checkpoints


def test_a_distributed_checkpoint(tmp_path):
    """Saved in parts and loaded in place, as usual for large models."""
    original, model = saved(CASES[1]), Model(CASES[1])
    checkpoint.save(get_model_state_dict(original), checkpoint_id=tmp_path / "save", no_dist=True)
    state = get_model_state_dict(model)
    checkpoint.load(state, checkpoint_id=tmp_path / "save", no_dist=True)
    set_model_state_dict(model, state)
    assert_goes_on(model.sampler, original.sampler)


def test_a_state_is_tensors_alone():
    """Tensor formats and `weights_only` require this."""
    assert all(isinstance(value, torch.Tensor) for value in saved(CASES[0]).state_dict().values())


class Distributed:
    """Imitates a DTensor, since a real one needs a process group."""

    def full_tensor(self):
        return None


def test_tensors_that_are_nested_or_distributed_are_refused():
    """Regression: PyTorch raised errors such as "view(): cannot view"."""
    sampler = PopularityBasedSampler(14, 3, 5, 17)
    loss, table = SampledSoftmaxLoss(sampler), torch.randn(15, 4)
    queries, ids = torch.randn(3, 4), torch.tensor([3, 4, 5])
    lists = torch.nested.nested_tensor([ids, ids[:1]], layout=torch.jagged)
    vectors = torch.nested.nested_tensor([queries, queries[:1]], layout=torch.jagged)
    for ask in (loss, loss.evaluate, loss.eval()):
        with pytest.raises(PopSamplerError, match="queries as a plain tensor"):
            ask(vectors, lists, table)
        with pytest.raises(PopSamplerError, match="ids as a plain tensor"):
            ask(queries, lists, table)
        with pytest.raises(PopSamplerError, match="item_table as a plain tensor.*Distributed"):
            ask(queries, ids, Distributed())
        ask(vectors.values(), lists.values(), table)
    for ask in (sampler, sampler.expected_count, sampler.probability):
        with pytest.raises(PopSamplerError, match="plain tensor"):
            ask(lists)


# ------------------------------------------------------------------ functional calls


def test_an_ensemble_by_functional_call():
    """PyTorch's recipe: an empty model, and the stacked states of several."""
    models = [Model(CASES[1]) for _ in range(3)]
    parameters, buffers = torch.func.stack_module_state(models)
    base = copy.deepcopy(models[0]).to("meta")

    def call(parameters, buffers, x):
        y, values = torch.func.functional_call(base, (parameters, buffers), (x,))
        return y, values.sampled_ids

    base.eval()
    x = torch.randn(4, 2)
    in_lanes = torch.vmap(call, (0, 0, None), randomness="different")
    found, drawn = in_lanes(parameters, buffers, x)
    assert drawn.tolist() == [v.sampled_ids.tolist() for v in drawn_by(Model(CASES[1]).sampler)]
    for y, model in zip(found, models):
        torch.testing.assert_close(y, model.eval()(x)[0])


def test_gradients_by_function():
    """`torch.func.grad` refused the stream while it was a buffer that the loss changed."""
    loss = SampledSoftmaxLoss(PopularityBasedSampler(14, 3, 5, 17))
    queries, ids, table = torch.randn(6, 4), torch.tensor([3, 14, 7, 7, 12, 0]), torch.randn(15, 4)
    found = torch.func.grad(copy.deepcopy(loss), argnums=2)(queries, ids, table)
    loss(queries, ids, table.requires_grad_()).backward()
    torch.testing.assert_close(found, table.grad)


# ------------------------------------------------------------------ where the module is


def test_shared_memory():
    model, original = saved(CASES[1]).share_memory(), saved(CASES[1])
    assert model.sampler.stream.state.is_shared()
    assert_goes_on(model.sampler, original.sampler)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_buffers_that_move_without_the_module(compiled, case):
    """FSDP moves buffers singly; the rest of the sampler follows at its next use."""
    torch.compiler.reset()
    original, model = saved(case), saved(case).to("meta")
    for buffer in model.sampler.buffers():
        moved = torch.zeros(buffer.shape, dtype=buffer.dtype)
        model.sampler.stream._buffers["_anchor"] = moved
    run = torch.compile(model.sampler, fullgraph=True, backend="aot_eager")
    assert_goes_on(run if compiled else model.sampler, original.sampler)


def test_other_types_of_tensors():
    """`Module.type` casts integers too."""
    model, original = saved(CASES[2]), saved(CASES[2])
    assert_goes_on(model.type(torch.float16).sampler, original.sampler)


@pytest.mark.parametrize("swap", [False, True])
def test_moves_that_replace_or_swap_tensors(swap):
    """PyTorch's future flags for `Module.to`."""
    setting = torch.__future__
    setting.set_swap_module_params_on_conversion(swap)
    setting.set_overwrite_module_params_on_conversion(not swap)
    try:
        model = saved(CASES[2]).to(torch.float64).half().cpu()
        model.load_state_dict(saved(CASES[2]).half().state_dict())
    finally:
        setting.set_swap_module_params_on_conversion(False)
        setting.set_overwrite_module_params_on_conversion(False)
    assert_goes_on(model.sampler, saved(CASES[2]).sampler)


def test_another_default_device():
    """The sampler draws on its own device, not on the default one."""
    model, original = saved(CASES[1]), saved(CASES[1])
    with torch.device("meta"):
        found = model.sampler.sample_ids()
    assert torch.equal(found, original.sampler.sample_ids())
