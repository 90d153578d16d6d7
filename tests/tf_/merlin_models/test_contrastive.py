"""The output on tables of item vectors: its loss, its evaluation, its life in files."""

import json

import numpy as np
import pytest

pytestmark = pytest.mark.merlin_models
pytest.importorskip("merlin.models", reason="needs merlin.models")
tf = pytest.importorskip("tensorflow")

import merlin.models.tf as mm

from merlin_popsampler.tf.merlin_models import ContrastiveOutput
from merlin_popsampler.tf.merlin_models.log_probabilities import CandidateCrossEntropy
from merlin_popsampler.tf.negatives import InBatch, Mixture
from tests.support.contrastive_models import (
    BATCH,
    ITEM,
    MAX_ID,
    MIN_ID,
    ROWS,
    SCHEMA,
    K,
    compiled,
    exact,
    frame,
    loader,
    losses_by_hand,
    sampler,
    with_a_table,
)
from tests.support.draws import batches_drawn
from tests.support.small_catalog import COUNTS

DIM = 4
IDS = [3, 3, 9, 14, 2, 0, 15, 1_000, 4]
COUNTING = np.array([3 <= i <= 14 for i in IDS])
RNG = np.random.default_rng(17)
QUERY = RNG.normal(size=(len(IDS), DIM)).astype(np.float32)
TABLE = RNG.normal(size=(MAX_ID + 1, DIM)).astype(np.float32)


def output_on(table=TABLE, negatives=None, **settings):
    output = ContrastiveOutput(ITEM, negatives or sampler(), **settings)
    output.build([None, DIM])
    output.to_call.kernel.assign(table.T)
    return output


def answer(output, query=QUERY, ids=IDS, **mode):
    mode = mode or {"training": True}
    return output(
        tf.convert_to_tensor(query), features={}, targets=tf.constant(ids, tf.int64), **mode
    )


def loss_of(prediction, sample_weight=None):
    loss = CandidateCrossEntropy()
    return float(loss(prediction.targets, prediction.outputs, sample_weight))


def in_batch_counts(ids):
    probs = np.array(COUNTS) / sum(COUNTS)
    known = [MIN_ID <= i <= MAX_ID for i in ids]
    return np.where(known, (COUNTING.sum() - 1) * probs[np.clip(ids, 3, 14) - MIN_ID], 0.0)


def wanted_losses(sources, temperature, correct, strength=1.0):
    """Computes the losses by hand, from draws and expected counts of equal samplers."""
    ids, with_counts = np.zeros(0, np.int64), []
    for source in sources:
        if source == "in-batch":
            ids = np.concatenate([ids, IDS])
            with_counts.append(in_batch_counts)
        else:
            ids = np.concatenate([ids, source.sample_ids()])
            with_counts.append(lambda some, twin=source: twin.expected_count(some).numpy())
    true_counts, counts = (
        sum(expected_count(np.array(some)) for expected_count in with_counts) ** strength
        for some in (IDS, ids)
    )
    true_counts = true_counts if correct else None
    return losses_by_hand(QUERY, TABLE, IDS, ids, counts, temperature, true_counts)


@pytest.mark.parametrize("strength", [1.0, 0.6])
@pytest.mark.parametrize("correct", [True, False], ids=["corrected", "uncorrected"])
@pytest.mark.parametrize(
    "sources",
    [
        lambda: [sampler()],
        lambda: ["in-batch"],
        lambda: [sampler(), "in-batch", sampler(seed=3, distribution="uniform", max_num_samples=7)],
    ],
    ids=["a sampler", "in-batch", "several"],
)
def test_the_loss_is_the_formula_over_rows_with_an_item(sources, correct, strength):
    settings = {"correct_positive": correct, "logq_strength": strength}
    output = output_on(negatives=sources(), logits_temperature=0.3, **settings)
    prediction = answer(output)
    wanted = wanted_losses(sources(), 0.3, correct, strength)
    np.testing.assert_allclose(
        -prediction.outputs[:, 0].numpy()[COUNTING], wanted, rtol=1e-5, atol=1e-6
    )
    assert loss_of(prediction) == pytest.approx(wanted.mean(), rel=1e-5)
    np.testing.assert_array_equal(prediction.targets[:, 0], COUNTING)
    assert float(tf.reduce_sum(prediction.targets)) == COUNTING.sum()
    weights = np.arange(len(IDS), dtype=np.float32)  # multiply, and change no denominator
    weighted = (wanted * weights[COUNTING]).sum() / COUNTING.sum()
    assert loss_of(prediction, weights) == pytest.approx(weighted, rel=1e-5)


def test_a_step_of_training_differentiates_the_losses_alone():
    """No gradient of the matrix of log-probabilities is computed; the losses are a column."""
    seen = []

    class Watched(CandidateCrossEntropy):
        def call(self, y_true, y_pred):
            loss = super().call(y_true, y_pred)
            seen.append(tf.gradients(tf.reduce_sum(loss), y_pred))
            return loss

    model, _ = with_a_table()
    model.compile("sgd", loss=Watched())
    model.fit(loader(), steps_per_epoch=1, verbose=0)
    assert seen and all(gradients == [None] for gradients in seen)


def test_the_corrected_loss_is_tensorflow_s_with_the_same_draws():
    temperature, ids = 0.3, [3, 3, 9, 14]
    output = output_on(logits_temperature=temperature)
    losses = -answer(output, QUERY[:4], ids).outputs[:, 0]
    theirs = tf.nn.sampled_softmax_loss(
        weights=TABLE,
        biases=tf.zeros([MAX_ID + 1]),
        labels=tf.constant(ids, tf.int64)[:, None],
        inputs=QUERY[:4] / temperature,
        num_sampled=K,
        num_classes=MAX_ID + 1,
        sampled_values=sampler().sampled_values(tf.constant(ids, tf.int64)[:, None]),
    )
    np.testing.assert_allclose(losses, theirs, rtol=1e-5)


@pytest.mark.parametrize("loss", [CandidateCrossEntropy(), "theirs"], ids=["ours", "theirs"])
def test_rows_without_an_item_teach_nothing_whatever_the_loss(loss):
    if loss == "theirs":
        loss = tf.keras.losses.CategoricalCrossentropy(from_logits=True)
    output, query = output_on(), tf.Variable(QUERY)
    with tf.GradientTape() as tape:
        prediction = answer(output, query)
        value = loss(prediction.targets, prediction.outputs)
    gradients = tape.gradient(value, [query, output.to_call.kernel])
    moved = np.abs(gradients[0]).max(1) > 0.0
    np.testing.assert_array_equal(moved, COUNTING)
    with tf.GradientTape() as tape:
        prediction = answer(output, query, [2] * len(IDS))
        value = loss(prediction.targets, prediction.outputs)
    gradients = tape.gradient(value, [query, output.to_call.kernel])
    assert float(value) == 0.0
    assert all(np.abs(gradient).max() == 0.0 for gradient in gradients)


PAIRWISE = ["bpr", "bpr-max", "hinge", "logistic", "top1", "top1-max", "top1_v2"]


@pytest.mark.parametrize("negatives", ["sampled", "in-batch"])
@pytest.mark.parametrize("loss", PAIRWISE)
def test_merlin_models_pairwise_losses_are_numbers(loss, negatives):
    """Some square the log-probability of what is masked."""
    loss = mm.losses.loss_registry.parse(loss)
    output, query = (
        output_on(negatives=sampler() if negatives == "sampled" else "in-batch"),
        tf.Variable(QUERY),
    )
    with tf.GradientTape() as tape:
        prediction = answer(output, query)
        value = loss(prediction.targets, prediction.outputs)
    gradient = tape.gradient(value, query).numpy()
    assert float(value) > 0.0
    assert np.isfinite(gradient).all() and np.abs(gradient[COUNTING]).max() > 0.0


@pytest.mark.parametrize("ids", [[9], [2]], ids=["an item", "no item"])
@pytest.mark.parametrize("negatives", ["one sample", "in-batch"])
def test_one_row_and_one_sample(negatives, ids):
    source = sampler(max_num_samples=1) if negatives == "one sample" else "in-batch"
    prediction = answer(output_on(negatives=source), QUERY[:1], ids)
    assert prediction.outputs.shape == (1, 2)
    assert np.isfinite(loss_of(prediction))
    if negatives == "in-batch" or ids == [2]:
        assert loss_of(prediction) == 0.0


def test_as_many_rows_as_samples_and_ids_in_a_column():
    """Merlin compares candidates by `!=` where they are as many, and squeezes single rows."""
    output = output_on(negatives=sampler(max_num_samples=len(IDS)))
    column = np.array(IDS)[:, None]
    np.testing.assert_allclose(
        answer(output, ids=column).outputs,
        answer(output_on(negatives=sampler(max_num_samples=len(IDS)))).outputs,
    )


def test_losses_are_float32_under_mixed_precision():
    plain = answer(output_on())
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        mixed = answer(output_on())
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert mixed.outputs.dtype == mixed.targets.dtype == tf.float32
    assert loss_of(mixed) == pytest.approx(loss_of(plain), rel=1e-2)
    assert loss_of(mixed) != loss_of(plain)  # the vectors were rounded


def test_negatives_are_told_where_someone_asks():
    output = output_on(negatives=[sampler(), "in-batch"], store_negative_ids=True)
    stored = answer(output).negative_candidate_ids
    np.testing.assert_array_equal(stored[:, 0], [*IDS, *sampler().sample_ids()])
    assert answer(output_on()).negative_candidate_ids is None
    output.set_negative_samplers(sampler(max_num_samples=2))
    assert answer(output).outputs.shape == (len(IDS), 3)


def test_an_evaluation_is_exact():
    temperature = 0.5
    model, output = with_a_table(logits_temperature=temperature, top_k=3)
    metrics = [mm.RecallAt(2), mm.NDCGAt(4)]
    compiled(model, metrics=metrics)
    found = model.evaluate(loader(), return_dict=True, verbose=0)
    assert batches_drawn(output.negative_samplers.sources[0]) == 0
    rows = frame()
    query = model.query_encoder({"user": tf.constant(rows["user"].to_numpy())}).numpy()
    table = output.to_call.embeddings.numpy()
    losses, better = exact(query, table, rows["item"].to_numpy(), temperature)
    assert found["cross_entropy"] == pytest.approx(losses.mean(), rel=1e-5)
    assert found["recall_at_3"] == pytest.approx((better < 3).mean())
    # The metrics of Merlin Models count rows without an item as misses.
    assert found["recall_at_2"] == pytest.approx((better < 2).sum() / ROWS)
    gains = np.where(better < 4, 1 / np.log2(better + 2.0), 0.0)
    assert found["ndcg_at_4"] == pytest.approx(gains.sum() / ROWS, rel=1e-5)
    assert found["loss"] == pytest.approx(losses.mean(), rel=0.05)  # a mean of the batches' means


def test_metrics_are_among_the_candidates_of_rows_with_an_item():
    output = output_on(top_k=2, negatives=[sampler(), "in-batch"])
    outputs = answer(output).outputs.numpy()[COUNTING]
    found = {metric.name: float(metric.result()) for metric in output.metrics}
    candidates, ranks = np.array([*IDS, *sampler().sample_ids()]), []
    for query, own in zip(QUERY[COUNTING], np.array(IDS)[COUNTING]):
        others = candidates[(candidates != own) & (candidates >= 3) & (candidates <= 14)]
        ranks.append((TABLE[others] @ query >= TABLE[own] @ query).sum())
    ranks = np.array(ranks)
    assert 0.0 < (ranks < 2).mean() < 1.0
    wanted = {"cross_entropy": -outputs[:, 0].mean(), "recall_at_2": (ranks < 2).mean()}
    assert found == pytest.approx(wanted, rel=1e-5)


def test_training_learns():
    model, output = with_a_table()
    compiled(model, run_eagerly=True)
    untrained = model.evaluate(loader(), return_dict=True, verbose=0)["cross_entropy"]
    assert untrained == pytest.approx(np.log(12), rel=0.1)
    history = model.fit(loader(), epochs=2, verbose=0, validation_data=loader()).history
    assert history["val_cross_entropy"][-1] < untrained - 0.1
    np.testing.assert_allclose(history["loss"], history["cross_entropy"], rtol=0.1)
    assert batches_drawn(output.negative_samplers.sources[0]) == 2 * -(-ROWS // BATCH)


def test_candidates_alone_are_evaluated_where_wanted():
    model, output = with_a_table(evaluate_on="candidates", default_metrics_fn=small_metrics)
    compiled(model, run_eagerly=True)
    found = model.evaluate(loader(), return_dict=True, verbose=0)
    assert {"loss", "cross_entropy", "recall_at_20", "recall_at_1"} <= set(found)
    assert batches_drawn(output.negative_samplers.sources[0]) == -(-ROWS // BATCH)


def small_metrics():
    return [mm.RecallAt(1)]


def test_youtube_s_model_takes_it():
    users, items = SCHEMA.select_by_name("user"), SCHEMA.select_by_name(["user", "item"])
    output = ContrastiveOutput(ITEM, [sampler(), "in-batch"], logits_temperature=0.5)
    settings = {"inputs": mm.InputBlockV2(users), "top_block": mm.MLPBlock([4])}
    model = mm.YoutubeDNNRetrievalModelV2(items, outputs=output, **settings)
    compiled(model, run_eagerly=True)
    model.fit(loader(), verbose=0)
    found = model.evaluate(loader(), return_dict=True, verbose=0)
    query = model.query_encoder({"user": tf.constant(frame()["user"].to_numpy())}).numpy()
    table = output.to_call.embeddings.numpy()
    losses, _ = exact(query, table, frame()["item"].to_numpy(), 0.5)
    assert found["cross_entropy"] == pytest.approx(losses.mean(), rel=1e-5)


SETTINGS = {
    "target_name": "item",
    "logits_temperature": 0.3,
    "query_name": "who",
    "candidate_name": "what",
    "store_negative_ids": True,
    "correct_positive": False,
    "logq_strength": 0.7,
    "evaluate_on": "candidates",
    "top_k": 7,
    "name": "asks",
}


def test_every_setting_is_in_the_configuration():
    negatives = [sampler(unique=False, distribution="uniform"), "in-batch"]
    output = output_on(negatives=negatives, default_metrics_fn=small_metrics, **SETTINGS)
    config = output.get_config()
    copied = ContrastiveOutput.from_config(config)
    again = ContrastiveOutput.from_config(output.get_config())
    for other in (copied, again):
        for name, value in SETTINGS.items():
            assert getattr(other, name) == value, name
        assert isinstance(other.default_loss, CandidateCrossEntropy)
        assert [metric.name for metric in other.default_metrics_fn()] == ["recall_at_1"]
        assert other.col_schema == output.col_schema
        ours, theirs = other.negative_samplers.get_config(), output.negative_samplers.get_config()
        assert json.dumps({**ours, "name": ""}) == json.dumps({**theirs, "name": ""})
    assert set(config) == set(copied.get_config())


def test_a_configuration_is_not_used_up():
    config = output_on().get_config()
    ContrastiveOutput.from_config(config)
    assert ContrastiveOutput.from_config(config).top_k == 20


FRESH = """
from merlin_popsampler.tf.merlin_models import ContrastiveOutput
from tests.support.contrastive_models import compiled, loader
from tests.support.draws import batches_drawn

model = tf.keras.models.load_model("{folder}")
model.compile(model.optimizer, run_eagerly=True)  # the loss is the output's
output, = model.model_outputs
assert type(output) is ContrastiveOutput, type(output)
evaluated = model.evaluate(loader(), return_dict=True, verbose=0)
features, targets = next(iter(loader()))
trained = model(features, targets=targets, training=True)
loss = output.default_loss(trained.targets, trained.outputs)
history = model.fit(loader(), verbose=0).history
drawn = batches_drawn(output.negative_samplers.sources[0])
print("results", evaluated["cross_entropy"], evaluated["recall_at_20"], float(loss),
      history["loss"][0], drawn)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A trained model, and the folder of its file."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    settings = {"logits_temperature": 0.4, "correct_positive": False}
    model, output = with_a_table([sampler(), "in-batch"], **settings)
    model.compile(tf.keras.optimizers.SGD(0.5), run_eagerly=True)
    model.fit(loader(), verbose=0)
    model.save(str(folder))
    return model, output, folder


def test_a_model_goes_on_in_a_fresh_process(saved, fresh):
    model, output, folder = saved
    printed = fresh.run(FRESH.format(folder=folder))
    *found, drawn = printed.split("results")[1].split()
    evaluated = model.evaluate(loader(), return_dict=True, verbose=0)
    features, targets = next(iter(loader()))
    trained = model(features, targets=targets, training=True)
    loss = float(output.default_loss(trained.targets, trained.outputs))
    trained_on = model.fit(loader(), verbose=0).history["loss"][0]
    wanted = [evaluated["cross_entropy"], evaluated["recall_at_20"], loss, trained_on]
    np.testing.assert_allclose([float(number) for number in found], wanted, rtol=1e-5, atol=1e-6)
    assert int(drawn) == batches_drawn(output.negative_samplers.sources[0])


def ops_of(graph):
    """Types of all ops of a graph and of the functions it calls."""
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for function in definition.library.function:
        nodes.extend(function.node_def)
    return {node.op for node in nodes}


def test_what_is_served_knows_no_sampler_and_no_stream(saved):
    _, output, folder = saved
    loaded = tf.saved_model.load(str(folder))
    serving = loaded.signatures["serving_default"]
    assert "MatMul" in ops_of(serving.graph)
    assert "RngReadAndSkip" not in ops_of(serving.graph)
    shapes = sorted(tuple(variable.shape) for variable in serving.variables)
    assert (3,) not in shapes  # the stream
    assert len(serving.variables) == 5  # user table, dense kernel and bias, items and their bias
    written = (folder / "saved_model.pb").read_bytes()
    assert b"RngReadAndSkip" not in written
    # Negative control: a step does draw.
    step = tf.function(lambda: answer(output, tf.zeros([2, 4]), [3, 4]).outputs)
    assert "RngReadAndSkip" in ops_of(step.get_concrete_function().graph)


def test_a_mixture_is_taken_as_it_is():
    mixture = Mixture([sampler(), InBatch.from_schema(SCHEMA)])
    assert output_on(negatives=mixture).negative_samplers is mixture
