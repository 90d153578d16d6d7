"""The output of two towers: sampled ids go through the item tower, and the catalog does, once."""

import numpy as np
import pytest

pytestmark = pytest.mark.merlin_models
pytest.importorskip("merlin.models", reason="needs merlin.models")
tf = pytest.importorskip("tensorflow")

import merlin.models.tf as mm

from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.tf import PopularityBasedSampler
from merlin_popsampler.tf.merlin_models import ContrastiveOutput, item_tower
from tests.support.contrastive_models import (
    BATCH,
    ITEM,
    ITEMS,
    MAX_ID,
    MIN_ID,
    ROWS,
    SCHEMA,
    compiled,
    dataset,
    exact,
    features,
    frame,
    items_tower,
    losses_by_hand,
    sampler,
    users_tower,
    with_towers,
)
from tests.support.draws import batches_drawn

STEPS = -(-ROWS // BATCH)


def rows():
    return mm.Loader(dataset(), BATCH, shuffle=False)


def evaluated(model):
    return model.evaluate(rows(), return_dict=True, verbose=0)


def item_vectors(tower):
    """Vectors of all ids, one item after the other, from features by hand."""
    vectors = np.zeros([MAX_ID + 1, 4])
    for i in range(MIN_ID, MAX_ID + 1):
        vectors[i] = tower({"item": tf.constant([i]), "brand": tf.constant([1 + i % 5])})[0]
    return vectors


def exact_of(model, tower):
    data = frame()
    query = model.query_encoder({"user": tf.constant(data["user"].to_numpy())}).numpy()
    losses, _ = exact(query, item_vectors(tower), data["item"].to_numpy(), 1.0)
    return losses.mean()


def bytes_below(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def trained():
    """A model after an epoch; its output and its tower."""
    model, output = with_towers(sampler())
    compiled(model, run_eagerly=True)
    model.fit(rows(), verbose=0)
    assert batches_drawn(output.negative_samplers.sources[0]) == STEPS
    return model, output, output.candidate


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a trained model whose table is large, what it answers, and its next epoch."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    settings = {"item_features": features(20_000), "logits_temperature": 0.4}
    model, output = with_towers([sampler(), "in-batch"], **settings)
    model.compile(tf.keras.optimizers.SGD(0.5), run_eagerly=True)
    model.fit(rows(), verbose=0)
    model.save(str(folder))
    batch, _ = next(iter(rows()))
    answer = model(batch)
    cross_entropy = evaluated(model)["cross_entropy"]
    assert batches_drawn(output.negative_samplers.sources[0]) == STEPS
    loss = model.fit(rows(), verbose=0).history["loss"][0]
    return folder, answer, cross_entropy, loss


def test_samples_go_through_the_same_tower(trained):
    model, output, tower = trained
    output.set_negative_samplers(sampler())
    batch, _ = next(iter(rows()))
    prediction = model(batch, training=True)
    ids, twin = batch["item"].numpy().ravel(), sampler()
    drawn = twin.sample_ids().numpy()
    counts = twin.expected_count(drawn).numpy()
    query = model.query_encoder(batch).numpy()
    true_counts = twin.expected_count(ids).numpy()
    wanted = losses_by_hand(query, item_vectors(tower), ids, drawn, counts, 1.0, true_counts)
    found = -prediction.outputs[:, 0].numpy()[ids >= MIN_ID]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_samples_teach_the_tower():
    """Items that no row contains get a gradient, since they were drawn."""
    model, output = with_towers(sampler(max_num_samples=ITEMS))
    batch, _ = next(iter(rows()))
    batch = {name: values[:2] for name, values in batch.items()}
    model(batch)
    table = next(v for v in output.candidate.variables if v.shape[0] == MAX_ID + 1)
    with tf.GradientTape() as tape:
        prediction = model(batch, training=True)
        loss = output.default_loss(prediction.targets, prediction.outputs)
    moved = tf.convert_to_tensor(tape.gradient(loss, table))
    assert np.abs(moved).max(1)[MIN_ID:].min() > 0.0
    assert np.abs(moved).max(1)[:MIN_ID].max() == 0.0


def test_the_catalog_is_encoded_once_an_evaluation_and_anew_for_the_next(monkeypatch):
    monkeypatch.setattr(item_tower, "BLOCK_ROWS", 5)
    encoded, encode = tf.Variable(0), item_tower.ItemTower.encode

    def counted(self, ids, training=False):
        encoded.assign_add(tf.size(ids))
        return encode(self, ids, training)

    monkeypatch.setattr(item_tower.ItemTower, "encode", counted)
    model, output = with_towers()
    for _ in range(2):
        encoded.assign(0)
        found = evaluated(model)["cross_entropy"]
        assert int(encoded) == ITEMS
        assert found == pytest.approx(exact_of(model, output.candidate), rel=1e-4)
        history = model.fit(rows(), validation_data=rows(), verbose=0).history
        assert history["val_cross_entropy"][0] == pytest.approx(
            exact_of(model, output.candidate), rel=1e-4
        )


def test_a_step_makes_the_catalog_stale_whoever_evaluates(trained):
    model, _, tower = trained
    batch, _ = next(iter(rows()))
    model(batch, testing=True)
    for variable in tower.trainable_variables:
        variable.assign_add(tf.ones_like(variable))
    stale = model(batch, testing=True).outputs[:, 0]
    model(batch, training=True)
    assert np.abs(stale - model(batch, testing=True).outputs[:, 0]).max() > 0.01


@pytest.mark.parametrize("eagerly", [False, True], ids=["graph", "eager"])
def test_losses_of_the_tower_are_those_of_the_batch(eagerly):
    """A loss that a layer adds inside the catalog's loop would be out of the model's reach."""
    tower = items_tower(tf.keras.layers.ActivityRegularization(l2=0.1))
    model, _ = with_towers(tower=tower)
    model.compile("sgd", run_eagerly=eagerly)
    found = evaluated(model)["regularization_loss"]
    last = frame().iloc[-(ROWS % BATCH) :]
    vectors = tower({name: tf.constant(last[name].to_numpy()) for name in ("item", "brand")})
    assert found == pytest.approx(0.1 * float(tf.reduce_sum(vectors**2)) / len(last), rel=1e-4)


def test_batch_normalization_sees_the_batch_and_then_the_samples():
    normalization = tf.keras.layers.BatchNormalization(momentum=0.5)
    tower = items_tower(normalization)
    model, _ = with_towers(tower=tower)
    batch, _ = next(iter(rows()))
    model(batch)
    drawn = sampler().sample_ids()
    samples = {"item": drawn, "brand": 1 + drawn % 5}
    model(batch, training=True)
    normalized = mm.Encoder(*tower.blocks[:-1])
    first, second = (
        normalized({name: rows[name] for name in samples}).numpy().mean(0)
        for rows in (batch, samples)
    )
    np.testing.assert_allclose(
        normalization.moving_mean, 0.25 * first + 0.5 * second, rtol=1e-4, atol=1e-6
    )


def test_a_model_is_saved_without_the_table_and_serves_without_it(saved, tmp_path):
    folder, answer, cross_entropy, _ = saved
    reloaded = tf.keras.models.load_model(str(folder))
    compiled(reloaded, run_eagerly=True)
    other = reloaded.model_outputs[0]
    assert type(other) is ContrastiveOutput
    source = other.negative_samplers.sources[0]
    assert batches_drawn(source) == STEPS
    assert other.candidate is reloaded.candidate_encoder
    assert len(reloaded.trainable_variables) == 7  # three tables, a kernel and a bias a tower
    batch, _ = next(iter(rows()))
    np.testing.assert_allclose(reloaded(batch), answer, rtol=1e-5)
    for call in (lambda: evaluated(reloaded), lambda: reloaded.fit(rows(), verbose=0)):
        with pytest.raises(PopSamplerError, match="set_item_features"):
            call()
    other.evaluate_on = "candidates"
    assert 0.0 < evaluated(reloaded)["cross_entropy"] < 2 * np.log(BATCH)
    reloaded.save(str(tmp_path / "again"))  # and can be saved as it is
    sizes = [bytes_below(path) for path in (folder, tmp_path / "again")]
    assert abs(sizes[0] - sizes[1]) < 20_000 * 4  # the table has 160 KB
    assert b"RngReadAndSkip" not in (folder / "saved_model.pb").read_bytes()
    other.evaluate_on = "catalog"
    other.set_item_features(features())
    assert evaluated(reloaded)["cross_entropy"] == pytest.approx(cross_entropy, rel=1e-5)
    before = batches_drawn(source)
    reloaded.fit(rows(), verbose=0)
    assert batches_drawn(source) == before + STEPS


FRESH = """
from merlin_popsampler.tf.merlin_models import ContrastiveOutput
from tests.support.contrastive_models import BATCH, dataset, features

model = tf.keras.models.load_model({folder!r})
model.compile(tf.keras.optimizers.SGD(0.5), run_eagerly=True)
model.model_outputs[0].set_item_features(features())
rows = mm.Loader(dataset(), BATCH, shuffle=False)
found = model.evaluate(rows, return_dict=True, verbose=0)["cross_entropy"]
print("results", found, model.fit(rows, verbose=0).history["loss"][0])
"""


def test_two_towers_go_on_in_a_fresh_process(saved, fresh):
    folder, _, cross_entropy, loss = saved
    printed = fresh.run(FRESH.format(folder=str(folder)))
    found = [float(number) for number in printed.split("results")[1].split()]
    np.testing.assert_allclose(found, [cross_entropy, loss], rtol=1e-5)
    serving = tf.saved_model.load(str(folder)).signatures["serving_default"]
    graph = serving.graph.as_graph_def().SerializeToString()
    assert b"MatMul" in graph  # of the towers
    assert b"RngReadAndSkip" not in graph


def test_a_configuration_holds_the_tower(trained):
    _, output, tower = trained
    other = ContrastiveOutput.from_config(output.get_config())
    assert [type(block) for block in other.candidate.blocks] == [type(b) for b in tower.blocks]
    assert other.candidate is not tower


def test_a_tower_that_knows_ids_alone_needs_no_table():
    tf.keras.utils.set_random_seed(17)
    schema = SCHEMA.select_by_name(["user", "item"])
    output = ContrastiveOutput(None, [sampler(), "in-batch"], schema=ITEM)
    model = mm.MatrixFactorizationModelV2(schema, dim=4, outputs=output)
    compiled(model, run_eagerly=True)
    two = mm.Loader(dataset("user", "item"), BATCH, shuffle=False)
    for mode in ("training", "testing"):
        with pytest.raises(PopSamplerError, match="set_candidate"):
            model(next(iter(two))[0], **{mode: True})
    output.set_candidate(model.candidate_encoder)
    model.fit(two, verbose=0)
    found = model.evaluate(two, return_dict=True, verbose=0)["cross_entropy"]
    data = frame()
    query = model.query_encoder({"user": tf.constant(data["user"].to_numpy())}).numpy()
    table = model.candidate_encoder.blocks[0].table.embeddings.numpy()
    losses, _ = exact(query, table, data["item"].to_numpy(), 1.0)
    assert found == pytest.approx(losses.mean(), rel=1e-4)


def test_in_batch_negatives_alone_need_no_table_to_train():
    tower = items_tower()
    output = ContrastiveOutput(None, "in-batch", schema=ITEM, evaluate_on="candidates")
    model = mm.TwoTowerModelV2(users_tower(), tower, outputs=output)
    compiled(model, run_eagerly=True)
    history = model.fit(rows(), epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert np.isfinite(evaluated(model)["loss"])


@pytest.mark.parametrize("lacks", ["tower", "features"])
def test_what_a_first_fit_lacked_is_given_later(lacks):
    """The failed fit has traced a step, so the advice says to compile the model again."""
    settings = {"tower": {"candidate": None}, "features": {"item_features": None}}[lacks]
    model, output = with_towers(**settings)
    with pytest.raises(PopSamplerError, match="After a failed fit, call model.compile"):
        model.fit(rows(), verbose=0)
    if lacks == "tower":
        output.set_candidate(model.candidate_encoder)
    else:
        output.set_item_features(features())
    model.compile(optimizer="adam")
    assert np.isfinite(model.fit(rows(), verbose=0).history["loss"]).all()


@pytest.mark.parametrize("candidate", [3, "tower", tf.keras.layers.Dense(4)], ids=str)
def test_a_candidate_is_a_tower_with_a_schema(candidate):
    kind = type(candidate).__name__
    with pytest.raises(PopSamplerError, match=f"item tower with a schema.*{kind}.*Encoder"):
        ContrastiveOutput(None, sampler(), schema=ITEM, candidate=candidate)


def test_a_change_that_is_refused_changes_nothing():
    """An output with other negatives than its tower would train on features of other items."""
    model, output = with_towers()
    kept = (output.negative_samplers, output.candidate, output._item_features, output._tower)
    with pytest.raises(PopSamplerError, match="item_features to be an ItemFeatures"):
        output.set_item_features(3)
    with pytest.raises(PopSamplerError, match="Expected features of the ids 3 to 15"):
        output.set_negative_samplers(PopularityBasedSampler(15, 3, max_num_samples=2))
    with pytest.raises(PopSamplerError, match="without .*'user'"):
        output.set_candidate(users_tower())
    now = (output.negative_samplers, output.candidate, output._item_features, output._tower)
    assert all(one is other for one, other in zip(kept, now))
    model.fit(rows(), epochs=1, verbose=0)


def test_towers_of_a_model_with_an_item_sampler_take_it():
    towers = mm.TwoTowerBlock(SCHEMA, query_tower=mm.MLPBlock([4]))
    settings = {"candidate_name": "item", "evaluate_on": "candidates"}
    output = ContrastiveOutput(None, "in-batch", schema=ITEM, **settings)
    model = compiled(mm.RetrievalModel(towers, output), run_eagerly=True)
    history = model.fit(dataset(), batch_size=BATCH, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    found = model.evaluate(dataset(), batch_size=BATCH, return_dict=True, verbose=0)
    assert np.isfinite(found["cross_entropy"])
