"""Tests the sampler in Merlin Models: data sets, models, reloads in new processes."""

import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.merlin_models
pytest.importorskip("merlin.models", reason="needs merlin.models")
tf = pytest.importorskip("tensorflow")

import merlin.models.tf as mm
import nvtabular as nvt
from merlin.io import Dataset
from merlin.models.tf.blocks.retrieval.base import ItemRetrievalScorer
from merlin.models.tf.core.base import ModelContext, PredictionOutput
from merlin.models.tf.outputs.sampling.base import Candidate
from merlin.models.utils.constants import MIN_FLOAT

from merlin_popsampler import (
    FrequencyCategorify,
    PopSamplerError,
    PopularityBasedSampler,
    read_popularity,
)
from tests.support.draws import batches_drawn

ITEMS = 40
ROWS = 2010  # a last batch that is not full
K = 20


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Returns a data set that was transformed, written with its schema, and read again."""
    folder = tmp_path_factory.mktemp("written")
    rng = np.random.default_rng(0)
    users = rng.integers(0, 30, ROWS)
    items = (users // 10 * 13 + rng.zipf(1.5, ROWS)) % ITEMS  # groups prefer other items
    raw = Dataset(pd.DataFrame({"user": users, "item": items * 7}))
    item = ["item"] >> FrequencyCategorify(out_path=str(folder)) >> nvt.ops.TagAsItemID()
    user = ["user"] >> nvt.ops.Categorify(out_path=str(folder)) >> nvt.ops.TagAsUserID()
    workflow = nvt.Workflow(item + user)
    workflow.fit_transform(raw).to_parquet(str(folder / "data"))
    return Dataset(str(folder / "data" / "*.parquet"), engine="parquet"), workflow


@pytest.fixture
def dataset(written):
    tf.keras.utils.set_random_seed(17)
    return written[0]


def sampler_of(dataset, **settings):
    return PopularityBasedSampler.from_schema(dataset, **{"max_num_samples": K, **settings})


def item_sampler_model(dataset, samplers):
    model = mm.MatrixFactorizationModel(dataset.schema, dim=8, samplers=samplers)
    model.compile(tf.keras.optimizers.Adam(0.05))
    return model


def candidate_sampler_model(dataset, sampler, **settings):
    query = mm.Encoder(
        dataset.schema.select_by_name("user"), mm.MLPBlock([8], no_activation_last_layer=True)
    )
    output = mm.ContrastiveOutput(
        to_call=dataset.schema.select_by_name("item"),
        negative_samplers=sampler,
        **{"logq_sampling_correction": True, **settings},
    )
    model = mm.RetrievalModelV2(query=query, output=output)
    model.compile(tf.keras.optimizers.Adam(0.05))
    return model


def loader(dataset, batch_size=256):
    target = mm.ToTarget(dataset.schema, "item", one_hot=False)
    return mm.Loader(dataset, batch_size=batch_size).map(target)


def sampler_in(model):
    found = [x for x in model._flatten_layers() if type(x) is PopularityBasedSampler]
    assert len({id(x) for x in found}) == 1
    return found[0]


def same_settings(sampler, other):
    return {**sampler.get_config(), "name": ""} == {**other.get_config(), "name": ""}


@pytest.fixture(scope="module")
def trained(written, tmp_path_factory):
    """Trains and saves models with both kinds of samplers; returns their results and the folder."""
    tf.keras.utils.set_random_seed(17)
    dataset, folder = written[0], tmp_path_factory.mktemp("trained")
    first, second = sampler_of(dataset, seed=5), sampler_of(dataset, seed=5)
    models = {
        "first": (
            item_sampler_model(dataset, [first, mm.InBatchSampler()]),
            mm.Loader(dataset, 256),
        ),
        "second": (candidate_sampler_model(dataset, second), loader(dataset, K)),
    }
    found = {}
    for (name, (model, source)), sampler in zip(models.items(), (first, second)):
        model.run_eagerly = True  # makes the weights, so that training is traced once
        model.evaluate(source, steps=2, verbose=0)
        model.optimizer.build(model.trainable_variables)
        model.run_eagerly = False
        before = batches_drawn(sampler)
        losses = model.fit(source, epochs=2, verbose=0).history["loss"]
        drawn = batches_drawn(sampler) - before
        model.save(str(folder / name))
        found[name] = sampler, drawn, losses, str(folder / name)
    return found


def trains_on_from(sampler, reloaded, source):
    """Tests whether a reloaded model continues the stream, in eager steps."""
    other = sampler_in(reloaded)
    assert same_settings(sampler, other)
    np.testing.assert_array_equal(other.get_weights()[0], sampler.get_weights()[0])
    reloaded.compile("adam", run_eagerly=True)
    before = batches_drawn(other)
    reloaded.fit(source, steps_per_epoch=2, verbose=0)
    assert batches_drawn(other) == before + 2


def test_every_source_of_a_schema_gives_the_same_sampler(written):
    dataset, workflow = written
    sources = [dataset, dataset.schema, workflow, mm.Loader(dataset, 10), loader(dataset)]
    samplers = [sampler_of(source) for source in sources]
    assert all(same_settings(samplers[0], sampler) for sampler in samplers)
    assert (samplers[0].min_id, samplers[0].max_id) == (3, ITEMS + 2)
    assert samplers[0].item_id_feature_name == "item"
    assert samplers[0].distribution.name == "empirical"


# --- as an ItemSampler: MatrixFactorizationModel(samplers=[sampler]) ----------------------------


def embeddings(rows, dim=4):
    return tf.random.stateless_normal([rows, dim], [1, 2])


def batch_of(ids, name="item"):
    ids = tf.constant(ids, tf.int64)
    return {"embeddings": tf.zeros([len(ids), 4]), "metadata": {name: ids}}


def test_an_item_sampler_answers_with_embeddings_and_ids(dataset):
    sampler, twin, table = (
        sampler_of(dataset, seed=5),
        sampler_of(dataset, seed=5),
        embeddings(ITEMS + 3),
    )
    for training in (True, False):
        answer = sampler(batch_of([3, 4, 5]), item_weights=table, training=training)
        ids = twin.sample_ids()
        assert answer.embeddings.shape == (K, 4)
        np.testing.assert_array_equal(answer.metadata["item"], ids)
        np.testing.assert_array_equal(answer.embeddings, tf.gather(table, ids))
        assert len(np.unique(ids)) == K
    assert sampler.required_features == ["item"]
    sampler.add(table, {}, training=True)
    np.testing.assert_array_equal(sampler.sample(table).metadata["item"], twin.sample_ids())


def test_an_item_sampler_refuses_what_cannot_be_right(dataset):
    sampler, table = sampler_of(dataset), embeddings(ITEMS + 3)
    batch = batch_of([3, 4])
    with pytest.raises(PopSamplerError, match=r"at least 43 rows.*Received: 42 rows"):
        sampler(batch, item_weights=table[:-1])
    with pytest.raises(PopSamplerError, match="Received: none"):
        sampler(batch)
    with pytest.raises(PopSamplerError, match=r"'item'.*product"):
        sampler(batch_of([3, 4], "product"), item_weights=table)
    with pytest.raises(PopSamplerError, match="1 rows"):
        sampler(batch_of([3]), item_weights=table)
    with pytest.raises(PopSamplerError, match="max_num_samples=1"):
        sampler_of(dataset, max_num_samples=1)(batch, item_weights=table)
    assert sampler(batch, item_weights=tf.pad(table, [[0, 9], [0, 0]])).embeddings.shape == (K, 4)


@pytest.mark.parametrize("downscore", [True, False])
def test_scorer_finds_and_masks_accidental_hits(dataset, downscore):
    """All items are sampled, so each row has exactly one hit at a known position."""
    sampler = sampler_of(dataset, max_num_samples=ITEMS, seed=5)
    scorer = ItemRetrievalScorer(
        samplers=[sampler],
        sampling_downscore_false_negatives=downscore,
        item_id_feature_name="item",
        item_domain="item",
    )
    table = embeddings(ITEMS + 3)
    context = ModelContext()
    context.add_embedding_table("item", types.SimpleNamespace(embeddings=tf.Variable(table)))
    scorer._set_context(context)
    ids = tf.constant([3, 9, 9, 42, 17, 1], tf.int64)  # the last one is never drawn
    query = embeddings(6)
    outputs = scorer.call_outputs(
        PredictionOutput({"query": query, "item": tf.gather(table, ids)}, {}),
        features={"item": ids[:, None]},
        training=True,
    )
    drawn = sampler_of(dataset, max_num_samples=ITEMS, seed=5).sample_ids().numpy()
    scores = outputs.predictions.numpy()
    np.testing.assert_allclose(
        scores[:, 0], np.sum(query * tf.gather(table, ids), axis=1), rtol=1e-5
    )
    hits = ids.numpy()[:, None] == drawn
    assert hits.sum() == 5
    plain = query.numpy() @ table.numpy()[drawn].T
    expected = np.where(hits & downscore, MIN_FLOAT, plain)
    np.testing.assert_allclose(scores[:, 1:], expected, rtol=1e-4, atol=1e-5)
    if downscore:
        np.testing.assert_array_equal(outputs.valid_negatives_mask, ~hits)
        np.testing.assert_array_equal(outputs.negative_item_ids, drawn)


def test_an_item_sampler_trains_and_reloads(dataset, trained):
    """With an in-batch sampler too."""
    sampler, drawn, losses, folder = trained["first"]
    assert losses[1] < losses[0]
    assert drawn == 16  # one batch of draws for each step, no more
    trains_on_from(sampler, mm.Model.load(folder), mm.Loader(dataset, 256))


def test_a_table_too_short_is_refused_when_training_starts(dataset):
    too_far = PopularityBasedSampler(ITEMS + 3, 3, K, item_id_feature_name="item")
    with pytest.raises(PopSamplerError, match=r"not the cardinality"):
        item_sampler_model(dataset, [too_far]).fit(dataset, batch_size=256, verbose=0)


# --- as a CandidateSampler: ContrastiveOutput(negative_samplers=sampler) ------------------------


def candidate(ids, **metadata):
    return Candidate(id=tf.constant(ids, tf.int64)[:, None], metadata=metadata)


def test_a_candidate_sampler_answers_with_a_candidate_of_ids(dataset):
    sampler, twin = sampler_of(dataset, seed=5), sampler_of(dataset, seed=5)
    batch = candidate([3, 4, 1], features=tf.zeros([3, 2]))
    answer = sampler(batch, training=True, testing=False)
    assert isinstance(answer, Candidate)
    assert answer.id.shape == (K, 1)
    assert answer.metadata == {}
    np.testing.assert_array_equal(answer.id[:, 0], twin.sample_ids())
    for with_counts in (sampler.with_sampling_probs(batch), sampler.with_sampling_probs(answer)):
        assert isinstance(with_counts, Candidate)
        assert with_counts.sampling_prob.dtype == tf.float32
        np.testing.assert_array_equal(
            with_counts.sampling_prob, twin.expected_count(with_counts.id)
        )
    assert list(sampler.with_sampling_probs(batch).metadata) == ["features"]
    sampler.add(batch)


def test_candidates_have_the_dtype_of_the_batch_s_ids_where_it_can_hold_them(dataset):
    sampler = sampler_of(dataset)
    ids = {"int32": "int32", "uint8": "uint8", "int64": "int64"}
    for given, expected in ids.items():
        batch = Candidate(id=tf.constant([[3], [4]], given), metadata={})
        assert sampler(batch).id.dtype == expected
    far = PopularityBasedSampler(1000, 3)
    assert far(Candidate(id=tf.constant([[3], [4]], "int8"), metadata={})).id.dtype == "int64"


def test_candidates_compare_by_identity_on_either_side(dataset):
    """Merlin Models' own comparison fails where the batch is as long as the samples."""
    sampler, batch = sampler_of(dataset), candidate(range(3, 3 + K))
    sampled = sampler(batch)
    assert batch != sampled
    assert sampled != batch
    assert sampler.with_sampling_probs(batch) == batch
    assert not sampled == batch  # noqa: SIM201 - the other operator
    with pytest.raises(ValueError, match="truth value"):  # negative control: Merlin's comparison
        assert batch != Candidate(id=sampled.id, metadata={})


def test_a_candidate_sampler_refuses_one_row_and_one_sample(dataset):
    with pytest.raises(PopSamplerError, match="1 rows"):
        sampler_of(dataset)(candidate([3]))
    with pytest.raises(PopSamplerError, match="max_num_samples=1"):
        sampler_of(dataset, max_num_samples=1)(candidate([3, 4]))


@pytest.mark.parametrize("distribution", ["empirical", "log_uniform"])
def test_all_items_sampled_and_corrected_is_the_full_softmax(dataset, distribution):
    sampler = sampler_of(dataset, max_num_samples=ITEMS, distribution=distribution)
    model = candidate_sampler_model(dataset, sampler)
    features, targets = next(iter(loader(dataset)))
    sampled = model(features, targets=targets, training=True)
    loss = tf.keras.losses.categorical_crossentropy(
        sampled.targets, sampled.outputs, from_logits=True
    )
    scores = model(features, training=False)
    full = tf.keras.losses.sparse_categorical_crossentropy(
        targets - 3, scores[:, 3:], from_logits=True
    )
    np.testing.assert_allclose(loss, full, rtol=1e-4)


def test_a_candidate_sampler_trains_and_reloads(dataset, trained):
    """On as many rows as samples."""
    sampler, drawn, losses, folder = trained["second"]
    assert losses[1] < losses[0]
    assert drawn == 2 * -(-ROWS // K)
    trains_on_from(sampler, tf.keras.models.load_model(folder), loader(dataset, K))


@pytest.mark.parametrize("option", ["logq_sampling_correction", "downscore_false_negatives"])
def test_a_candidate_sampler_trains_eagerly_as_in_a_graph(dataset, option):
    losses = []
    for eagerly in (True, False):
        tf.keras.utils.set_random_seed(3)
        sampler = sampler_of(dataset, seed=5)
        model = candidate_sampler_model(dataset, sampler, **{option: False})
        model.compile("sgd", run_eagerly=eagerly)
        first = mm.Loader(dataset, batch_size=K, shuffle=False)
        first = first.map(mm.ToTarget(dataset.schema, "item", one_hot=False))
        history = model.fit(first, steps_per_epoch=3, verbose=0).history
        assert batches_drawn(sampler) == 3
        losses.append(history["loss"][0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_candidate_sampler_mixes_with_in_batch(dataset):
    settings = {"logq_sampling_correction": False}  # Merlin's own error, with two samplers
    for order in (0, 1):
        samplers = [sampler_of(dataset, seed=5), mm.InBatchSamplerV2()]
        model = candidate_sampler_model(dataset, samplers[:: 1 - 2 * order], **settings)
        model.compile("adam", run_eagerly=bool(order))
        features, targets = next(iter(loader(dataset)))
        scores = model(features, targets=targets, training=True).outputs
        assert scores.shape == (256, 1 + K + 256)
        history = model.fit(loader(dataset), steps_per_epoch=2, verbose=0).history
        assert np.isfinite(history["loss"][0])
        assert batches_drawn(samplers[0]) == 1 + 2


def test_the_loss_is_another_where_the_expected_counts_are_not_used(dataset):
    """Negative control of the full softmax: equal weights and draws, without the correction."""
    features, targets = next(iter(loader(dataset)))

    def loss(correct):
        tf.keras.utils.set_random_seed(3)
        sampler = sampler_of(dataset, max_num_samples=ITEMS - 1, seed=5)
        model = candidate_sampler_model(dataset, sampler, logq_sampling_correction=correct)
        sampled = model(features, targets=targets, training=True)
        return tf.keras.losses.categorical_crossentropy(
            sampled.targets, sampled.outputs, from_logits=True
        )

    np.testing.assert_allclose(loss(True), loss(True), rtol=1e-6)
    assert np.abs(loss(True) - loss(False)).max() > 0.01


@pytest.mark.parametrize(
    ("policy", "eagerly"), [("mixed_float16", False), ("mixed_bfloat16", True)]
)
def test_both_interfaces_train_under_mixed_precision(dataset, policy, eagerly):
    """There, Merlin's ContrastiveOutput subtracts a float32 correction from float16."""
    steps = {"steps_per_epoch": 2, "verbose": 0}
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        sampler, second = sampler_of(dataset, seed=5), sampler_of(dataset, seed=5)
        model = item_sampler_model(dataset, [sampler])
        model.compile("adam", run_eagerly=eagerly)
        model.fit(mm.Loader(dataset, 256), **steps)
        model = candidate_sampler_model(dataset, second, logq_sampling_correction=False)
        model.compile("adam", run_eagerly=eagerly)
        model.fit(loader(dataset), **steps)
        assert batches_drawn(sampler) == batches_drawn(second) == 2
        expected_counts = sampler.expected_count(tf.range(ITEMS + 3))
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    plain = sampler_of(dataset).expected_count(tf.range(ITEMS + 3))
    np.testing.assert_array_equal(expected_counts, plain)


# --- a fresh process ----------------------------------------------------------------------------

FRESH = """
from merlin.io import Dataset
from merlin_popsampler import PopularityBasedSampler

dataset = Dataset(data, engine="parquet")
target = mm.ToTarget(dataset.schema, "item", one_hot=False)
for name, source, position, load in (
    ("first", mm.Loader(dataset, batch_size=256), positions[0], mm.Model.load),
    ("second", mm.Loader(dataset, batch_size=256).map(target), positions[1],
     tf.keras.models.load_model),
):
    model = load(f"{folder}/{name}")
    assert type(model).__name__ == {"first": "RetrievalModel", "second": "RetrievalModelV2"}[name]
    sampler, = {id(x): x for x in model._flatten_layers()
                if type(x) is PopularityBasedSampler}.values()
    wanted = PopularityBasedSampler.from_schema(dataset, max_num_samples=20, seed=5)
    ours, theirs = sampler.get_config(), wanted.get_config()
    assert all(ours[key] == theirs[key] for key in ours if key != "name"), (ours, theirs)
    key = wanted.get_weights()[0][2]
    assert sampler.get_weights()[0].tolist() == [256 * position, 0, key]
    model.compile("adam", run_eagerly=True)
    model.fit(source, steps_per_epoch=2, verbose=0)
    assert sampler.get_weights()[0][0] == 256 * (position + 2)
    for _ in range(position + 2):
        wanted.sample_ids()
    np.testing.assert_array_equal(sampler.sample_ids(), wanted.sample_ids())
"""


def test_both_reload_and_train_on_in_a_fresh_process(dataset, trained, fresh, tmp_path):
    folder = str(Path(trained["first"][-1]).parent)
    positions = [int(batches_drawn(trained[name][0])) for name in ("first", "second")]
    dataset.to_parquet(str(tmp_path / "data"))
    given = folder, f"{tmp_path}/data/*.parquet", positions
    fresh.run(f"folder, data, positions = {given!r}\n{FRESH}")


def test_a_usual_run_raises_no_warning_of_this_package(dataset, monkeypatch):
    """A warning belongs to the module that calls `warnings.warn`, at any stacklevel."""
    ours, warn = [], warnings.warn

    def noted(message, *args, **settings):
        if sys._getframe(1).f_globals["__name__"].startswith("merlin_popsampler."):
            ours.append(str(message))
        warn(message, *args, **settings)

    monkeypatch.setattr(warnings, "warn", noted)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        candidate_sampler_model(dataset, sampler_of(dataset)).fit(loader(dataset), verbose=0)
        assert ours == []
        read_popularity(dataset, "user")  # negative control: an order without evidence
    assert ["'user'" in message for message in ours] == [True]
    assert not [w for w in caught if "sampling probs" in str(w.message)]
