"""AllItems: the full softmax of NumPy, in blocks, with its gradients, in every way of running."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler import PopSamplerError
from merlin_popsampler.tf import AllItems, Mixture, SampledSoftmax, all_items
from tests.support import golden_loss
from tests.support.loss_oracles import full_softmax
from tests.support.small_catalog import sampler

IDS = np.array([3, 14, 7, 7, 12, 5])
EXCLUDED = [[], [4, 14, 0], [3], [5, 9, 9], [8, 0], [13]]
RAGGED = tf.ragged.constant(EXCLUDED, tf.int32)
KERAS3 = hasattr(tf.keras, "Variable")
WEIGHTS = np.linspace(-1, 2, 6)
"""As sample weights that come afterwards."""


def numbers():
    rng = np.random.default_rng(3)
    return rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=(16, 4)).astype(np.float32)


def layer_of(**settings):
    return SampledSoftmax(AllItems(14, 3), 0.5, **settings)


def eagerly(step):
    return step


def in_a_graph(step):
    """Traces the step once, for any number of rows."""
    signature = [tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int64)]
    return tf.function(step, input_signature=signature)


def under_xla(step):
    return tf.function(step, jit_compile=True)


def step_of(layer, table, way=eagerly, **arguments):
    """Returns the losses of one step, and their gradients with respect to query and table."""

    def step(query, ids):
        with tf.GradientTape() as tape:
            tape.watch(query)
            losses = layer(query, ids, table, training=True, **arguments)
            total = tf.reduce_sum(losses * tf.constant(WEIGHTS, tf.float32))
        watched = table
        if not isinstance(table, tf.Variable):
            watched = table.trainable_variables[0]
            watched = watched.value if KERAS3 else watched
        return losses, *map(tf.convert_to_tensor, tape.gradient(total, [query, watched]))

    query = tf.constant(numbers()[0])
    return [each.numpy() for each in way(step)(query, tf.constant(IDS))]


@pytest.mark.parametrize("excluded", [None, EXCLUDED], ids=["nothing", "excluded"])
@pytest.mark.parametrize("block", [1, 5, 100])
@pytest.mark.parametrize("way", [eagerly, in_a_graph, under_xla])
def test_values_and_gradients_are_those_of_numpy(monkeypatch, way, block, excluded):
    monkeypatch.setattr(all_items, "BLOCK_BYTES", block * 16 * 6)
    query, vectors = numbers()
    lists = None if excluded is None else RAGGED.to_tensor() if way is under_xla else RAGGED
    found = step_of(layer_of(), tf.Variable(vectors), way, excluded_ids=lists)
    expected = full_softmax(query, vectors[:15], IDS, 0.5, excluded, WEIGHTS)
    np.testing.assert_allclose(found[2][15:], 0.0)
    for one, other in zip((*found[:2], found[2][:15]), expected):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


class Unit(tf.keras.layers.Embedding):
    def call(self, inputs):
        return tf.math.l2_normalize(super().call(inputs), -1)


@pytest.mark.parametrize("kind", ["embedding", "own call", "bfloat16"])
def test_every_kind_of_table(monkeypatch, kind):
    monkeypatch.setattr(all_items, "BLOCK_BYTES", 5 * 16 * 6)
    query, vectors = numbers()
    dtype = {"dtype": "bfloat16"} if kind == "bfloat16" and KERAS3 else {}
    table = (Unit if kind == "own call" else tf.keras.layers.Embedding)(16, 4, **dtype)
    table.build(None)
    if kind == "bfloat16" and not KERAS3:
        table = tf.Variable(tf.cast(vectors, tf.bfloat16))
    else:
        table.set_weights([vectors])
    losses, of_query, of_table = step_of(layer_of(), table)
    if kind == "bfloat16":
        vectors = np.float32(tf.cast(vectors, tf.bfloat16))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    seen = unit if kind == "own call" else vectors
    expected = full_softmax(query, seen[:15], IDS, 0.5, None, WEIGHTS)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_query, expected[1], rtol=1e-5, atol=1e-5)
    by_table = expected[2]
    if kind == "own call":
        along = (by_table * unit[:15]).sum(1, keepdims=True) * unit[:15]
        by_table = (by_table - along) / np.linalg.norm(vectors[:15], axis=1, keepdims=True)
    rtol = 0.05 if kind == "bfloat16" else 1e-5
    np.testing.assert_allclose(np.float32(of_table)[:15], by_table, rtol=rtol, atol=rtol)


def test_the_numbers_that_pytorch_gives_as_well():
    layer = SampledSoftmax(AllItems(12, 3), 0.3)
    query, table = (
        tf.Variable(x, dtype=tf.float32) for x in (golden_loss.QUERY, golden_loss.TABLE)
    )
    with tf.GradientTape() as tape:
        losses = layer(
            query, golden_loss.TRUE_IDS, table, tf.constant(golden_loss.EXCLUDED), training=True
        )
        total = tf.reduce_sum(losses * tf.constant(golden_loss.WEIGHTS, tf.float32))
    found = losses, *tape.gradient(total, [query, table])
    for one, other in zip(found, golden_loss.full_softmax_with_excluded()):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_no_setting_of_the_sampling_changes_anything():
    table = tf.Variable(numbers()[1])
    expected = step_of(layer_of(), table)
    hard = tf.constant([[4, 5]] * 6)
    for found in (
        step_of(layer_of(correct_positive=False), table),
        step_of(layer_of(logq_strength=0.3), table),
        step_of(layer_of(), table, hard_negative_ids=hard),
    ):
        np.testing.assert_array_equal(found[0], expected[0])
    evaluated = layer_of()(tf.constant(numbers()[0]), IDS, table, training=False)
    np.testing.assert_allclose(evaluated, expected[0], rtol=1e-6)


def test_rows_without_an_item_and_no_rows():
    query, vectors = (tf.Variable(each) for each in numbers())
    expected = layer_of()(query[:3], IDS[:3], vectors, training=True)
    query[3:].assign(np.full([3, 4], np.nan))
    with tf.GradientTape() as tape:
        losses = layer_of()(query, np.array([*IDS[:3], 0, 15, -1]), vectors, training=True)
        mean = tf.reduce_mean(losses)
    np.testing.assert_allclose(losses, [*(2 * expected.numpy()), 0, 0, 0], rtol=1e-6)
    assert all(np.isfinite(each).all() for each in tape.gradient(mean, [query, vectors]))
    assert layer_of()(query[:0], IDS[:0], vectors, training=True).shape == [0]


@pytest.mark.parametrize("scale", [1e30, np.nan, np.inf])
def test_large_vectors_are_clipped_and_others_are_seen(scale):
    vectors = numbers()[1]
    vectors[9] *= scale
    with np.errstate(all="ignore"):
        losses, _, gradient = step_of(layer_of(), tf.Variable(vectors))
    finite = np.isfinite(losses).all(), np.isfinite(gradient).all()
    assert finite == ((True, True) if scale == 1e30 else (False, False))


def model_of():
    tf.keras.utils.set_random_seed(17)
    users, items = (tf.keras.Input([], dtype="int64") for _ in range(2))
    queries = tf.keras.layers.Embedding(20, 4, name="users")(users)
    losses = layer_of()(queries, items, tf.keras.layers.Embedding(15, 4, name="items"))
    model = tf.keras.Model([users, items], losses)
    model.compile(tf.keras.optimizers.Adam(0.05), lambda _, losses: losses)
    return model


@pytest.mark.parametrize("form", ["keras", "h5", "weights.h5", *([] if KERAS3 else ["tf"])])
def test_a_model_learns_and_goes_on_after_loading(tmp_path, form):
    users = np.arange(40) % 20
    items = 3 + users % 12
    model, path = model_of(), str(tmp_path / f"model.{form}").replace(".tf", "")
    history = model.fit([users, items], items, epochs=30, verbose=0).history["loss"]
    assert history[-1] < history[0] - 0.5
    if form == "weights.h5":
        model.save_weights(path)
        again = model_of()
        again.load_weights(path)
    else:
        model.save(path, **({} if KERAS3 else {"save_format": form}))
        again = tf.keras.models.load_model(path, compile=False)
    for training in (True, False):
        found, expected = (each([users, items], training=training) for each in (again, model))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    again.compile("sgd", lambda _, losses: losses)
    assert again.fit([users, items], items, verbose=0).history["loss"][0] < history[0]


REPLICAS = """
import numpy as np
from tests.tf_.test_all_items import model_of

users = np.arange(8) % 20
items = np.where(users < 5, 3 + users, 1)  # three rows of the second replica do not count
weights = []
for each in (strategy, tf.distribute.get_strategy()):
    with each.scope():
        model = model_of()
        eagerly = each is not strategy
        model.compile(tf.keras.optimizers.SGD(1.0), lambda _, losses: losses, run_eagerly=eagerly)
    model.fit(tf.data.Dataset.from_tensor_slices(((users, items), items)).batch(8), verbose=0)
    weights.append(model.get_weights())
for one, other in zip(*weights):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
"""


def test_replicas_take_the_step_of_one_device(replicas):
    replicas.run(REPLICAS)


def test_refused():
    table = tf.Variable(numbers()[1])
    with pytest.raises(PopSamplerError, match="no sampled_values with AllItems"):
        step_of(layer_of(), table, sampled_values=(IDS, IDS))
    with pytest.raises(PopSamplerError, match="sources of negatives"):
        Mixture([AllItems(14, 3), sampler()])
    query = tf.Variable(numbers()[0])
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            loss = tf.reduce_sum(layer_of()(query, IDS, table, training=True))
        gradients = inner.gradient(loss, [query, table])
    with pytest.raises(PopSamplerError, match="a second derivative"):
        outer.gradient(gradients, [query, table])


def test_first_derivatives_under_a_persistent_tape():
    """For such a tape, TensorFlow prepares second derivatives of a traced step."""
    query, table = (tf.Variable(each) for each in numbers())
    layer = layer_of()
    step = tf.function(lambda: layer(query, IDS, table, training=True))
    with tf.GradientTape(persistent=True) as tape:
        losses = step()
    expected = full_softmax(numbers()[0], numbers()[1][:15], IDS, 0.5)
    np.testing.assert_allclose(tape.gradient(losses, query), expected[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(losses, table)[:15], expected[2], rtol=1e-5, atol=1e-6)
