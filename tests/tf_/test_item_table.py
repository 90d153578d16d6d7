"""Tables of items: training and evaluation look up the same vectors, for every kind of table."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler import PopSamplerError
from merlin_popsampler.tf import AllItems, InBatch, SampledSoftmax, whole_catalog
from tests.conftest import SEED
from tests.support.small_catalog import sampler

KERAS3 = hasattr(tf.keras, "Variable")
EMBEDDING = tf.keras.layers.Embedding
TRUE_IDS = tf.constant([3, 14, 7, 7, 12, 5])


@tf.keras.utils.register_keras_serializable(package="popsampler_tests")
class Unit(EMBEDDING):
    def call(self, inputs):
        return tf.math.l2_normalize(super().call(inputs), -1)


class Projected(EMBEDDING):
    """With a weight of its own, and a loss that it adds when it is called."""

    def build(self, input_shape):
        super().build(input_shape)
        self.kernel = self.add_weight(name="kernel", shape=(4, 4), initializer="orthogonal")

    def call(self, inputs):
        vectors = super().call(inputs) @ tf.convert_to_tensor(self.kernel)
        self.add_loss(1e-4 * tf.reduce_sum(vectors**2))
        return vectors


@tf.keras.utils.register_keras_serializable(package="popsampler_tests")
class EmbeddingTower(EMBEDDING):
    """With layers of its own, as the page Loss shows."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.brand, self.dense = EMBEDDING(2, 3), tf.keras.layers.Dense(4)

    def call(self, inputs):
        brand = self.brand(tf.cast(inputs, tf.int64) % 2)
        return self.dense(tf.concat([super().call(inputs), brand], -1))


class Doubled(EMBEDDING):
    def __call__(self, inputs, *args, **kwargs):
        return 2 * super().__call__(inputs, *args, **kwargs)


class Renamed(EMBEDDING):
    """A subclass that looks up as its parent does."""


def with_lora():
    table = EMBEDDING(15, 4)
    table.build((None,))
    table.enable_lora(2)
    table.lora_embeddings_b.assign(np.random.default_rng(SEED).normal(size=(2, 4)))
    return table


def quantized():
    table = EMBEDDING(15, 4)
    table.build((None,))
    table.quantize("int8")
    return table


TABLES = {
    "plain": lambda: EMBEDDING(15, 4),
    "own call": lambda: Unit(15, 4),
    "own weight and loss": lambda: Projected(15, 4),
    "item tower": lambda: EmbeddingTower(15, 5),
    "own __call__": lambda: Doubled(15, 4),
    "subclass": lambda: Renamed(15, 4),
    "mask_zero": lambda: EMBEDDING(15, 4, mask_zero=True),
    "own call, mask_zero": lambda: Unit(15, 4, mask_zero=True),
    "regularized": lambda: EMBEDDING(15, 4, embeddings_regularizer="l2", activity_regularizer="l2"),
    "constrained": lambda: EMBEDDING(15, 4, embeddings_constraint="unit_norm"),
    "own call, float16": lambda: Unit(15, 4, dtype="mixed_float16"),
}
if KERAS3:
    TABLES.update({"lora": with_lora, "int8": quantized})


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("kind", TABLES)
def test_training_and_evaluation_look_the_same_vectors_up(monkeypatch, kind, traced):
    """Regression, for each kind of table in TABLES."""
    monkeypatch.setattr(whole_catalog, "BLOCK_BYTES", 5 * 4 * 6)  # several blocks
    query = np.random.default_rng(SEED).normal(size=(6, 4)).astype(np.float32)
    table, layer = TABLES[kind](), SampledSoftmax(sampler(max_num_samples=12))
    layer(query, TRUE_IDS, table, training=True)
    call = tf.function(layer) if traced else layer
    scores = query @ tf.cast(table(tf.range(15)), tf.float32).numpy()[3:].T
    own = scores[np.arange(6), TRUE_IDS.numpy() - 3]
    expected = np.logaddexp.reduce(scores, 1) - own
    rounding = 2e-3 if "float16" in kind else 1e-5
    for training in (True, False):
        found = call(query, TRUE_IDS, table, training=training)
        np.testing.assert_allclose(found, expected, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("kind", ["own call", "item tower", "own weight and loss", "regularized"])
def test_a_model_with_such_a_table_trains_evaluates_and_is_saved(tmp_path, kind):
    """Regression: losses that a table adds in a block of an evaluation are left out."""
    tf.keras.utils.set_random_seed(SEED)
    users, items = (tf.keras.Input([], dtype="int64") for _ in range(2))
    layer = SampledSoftmax(sampler(), temperature=0.5)
    table = TABLES[kind]()
    losses = layer(EMBEDDING(20, 4)(users), items, table)
    model = tf.keras.Model([users, items], losses)
    weights = [weight.numpy() for weight in table.trainable_weights]
    model.compile(tf.keras.optimizers.Adam(0.05), lambda _, losses: losses)
    ids = np.arange(48) % 12 + 3
    before = model.evaluate([ids, ids], ids, verbose=0, return_dict=True)
    model.fit([ids, ids], ids, epochs=10, verbose=0)
    after = model.evaluate([ids, ids], ids, verbose=0, return_dict=True)
    assert after["cross_entropy"] < before["cross_entropy"] - 0.1
    trained = zip(weights, table.trainable_weights)
    assert all((earlier != weight.numpy()).any() for earlier, weight in trained)
    if kind in ("own call", "item tower"):
        model.save(str(tmp_path / "model.keras"))
        again = tf.keras.models.load_model(str(tmp_path / "model.keras"), compile=False)
        found = again([ids, ids], training=False)
        np.testing.assert_allclose(found, model([ids, ids], training=False), rtol=1e-5)


def test_gradients_stay_sparse():
    query = tf.ones([6, 4])
    for table in (EMBEDDING(15, 4), Renamed(15, 4)):
        layer = SampledSoftmax(sampler())
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(layer(query, TRUE_IDS, table, training=True))
        variable = table.embeddings.value if KERAS3 else table.embeddings
        assert isinstance(tape.gradient(loss, variable), tf.IndexedSlices)


ROLES = {
    "a positive": ([14] * 90 + [3] * 10, {}),
    "a hard negative": ([8, 9, 10, 11, 12] * 20, {"hard_negative_ids": tf.fill([100, 1], 14)}),
    "all roles": (
        [14, 14, 13, 3, 4] * 20,
        {"hard_negative_ids": tf.constant([[13, 5], [5, 6], [14, 4], [14, 9], [10, 14]] * 20)},
    ),
}


@pytest.mark.parametrize("optimizer", ["Adam", "Adagrad"])
@pytest.mark.parametrize("role", ROLES)
def test_items_that_occur_several_times_move_as_by_a_dense_gradient(optimizer, role):
    """Regression: optimizers of Keras 3 square the rows of an item before they sum them."""
    ids, more = ROLES[role]
    moved = []
    for dense in (False, True):
        tf.keras.utils.set_random_seed(SEED)
        table, layer = EMBEDDING(15, 4), SampledSoftmax(sampler())
        table.build((None,))
        (weight,), before = table.trainable_variables, table.get_weights()[0]
        with tf.GradientTape() as tape:
            queries = tf.random.stateless_normal([100, 4], [1, 2])
            loss = tf.reduce_mean(layer(queries, tf.constant(ids), table, training=True, **more))
        found = tape.gradient(loss, weight.value if KERAS3 else weight)
        step = getattr(tf.keras.optimizers, optimizer)(0.01)
        step.apply_gradients([(tf.convert_to_tensor(found) if dense else found, weight)])
        moved.append(table.get_weights()[0] - before)
    assert np.abs(moved[1][14]).max() > 1e-4
    np.testing.assert_allclose(*moved, rtol=1e-3, atol=1e-7)


class Asked(EMBEDDING):
    def call(self, inputs):
        self.asked.append(inputs.shape.as_list())
        return super().call(inputs)


def test_a_table_is_not_called_for_no_ids():
    """Regression: a layer such as a batch normalization would learn NaN from an empty batch."""
    table = Asked(15, 4)
    table.asked = []
    layer = SampledSoftmax(InBatch.from_counts(np.arange(16, 1, -1), reserved_ids=[0, 1, 2]))
    layer(tf.ones([6, 4]), TRUE_IDS, table, training=True)
    assert [shape for shape in table.asked if shape[:1] == [6]]
    assert not [shape for shape in table.asked if shape[:1] == [0]]


class Stacked(EMBEDDING):
    def call(self, inputs):
        return super().call(inputs)[:, None]


@pytest.mark.parametrize("training", [True, False])
def test_a_table_whose_call_gives_no_vectors_is_refused(training):
    with pytest.raises(PopSamplerError, match="vectors"):
        SampledSoftmax(sampler())(tf.ones([6, 4]), TRUE_IDS, Stacked(15, 4), training=training)


HISTORIES = [[4, 5], [14, 0], [3, 9], [7, 7], [8, 1], [6, 6]]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", ["dense", "ragged", "list", "array", "int32", "one", "ragged one"])
def test_excluded_ids_of_each_row_or_of_all(form, training):
    """Regression: ids may be dense, ragged, lists or arrays, or one list for all rows."""
    query = np.random.default_rng(SEED).normal(size=(6, 4)).astype(np.float32)
    table = tf.Variable(np.random.default_rng(SEED + 1).normal(size=(15, 4)).astype(np.float32))
    excluded = {
        "dense": tf.constant(HISTORIES, tf.int64),
        "ragged": tf.ragged.constant(HISTORIES, dtype=tf.int64),
        "list": HISTORIES,
        "array": np.array(HISTORIES),
        "int32": tf.constant(HISTORIES, tf.int32),
        "one": tf.constant([[4, 5]]),
        "ragged one": tf.ragged.constant([[4, 5]]),
    }[form]
    layer = SampledSoftmax(sampler(max_num_samples=12))
    found = layer(query, TRUE_IDS, table, excluded, training=training)
    for row in range(6):
        own = HISTORIES[0 if "one" in form else row]
        kept = np.setdiff1d(np.arange(3, 15), [i for i in own if i != TRUE_IDS[row]])
        scores = table.numpy()[kept] @ query[row]
        expected = np.logaddexp.reduce(scores) - scores[list(kept).index(TRUE_IDS[row])]
        np.testing.assert_allclose(found[row], expected, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "excluded",
    [
        np.array(HISTORIES[:4]),
        np.array(HISTORIES)[0],
        np.array(HISTORIES)[:, :, None],
        np.array(HISTORIES, np.float32),
        np.ones((6, 15), bool),
        tf.ragged.constant(HISTORIES[:4]),
        tf.ragged.constant([[3.0]] * 6),
        tf.ragged.constant([[[3]]] * 6),
        tf.sparse.from_dense(HISTORIES),
    ],
    ids=str,
)
def test_excluded_ids_of_another_shape_or_kind_are_refused(excluded, training):
    """Regression: too few rows, no rows, floats and masks, dense, ragged and sparse."""
    layer = SampledSoftmax(sampler())
    layer(tf.ones([6, 4]), TRUE_IDS, tf.ones([15, 4]), training=training)
    with pytest.raises(PopSamplerError, match="excluded_ids|integer ids|dense or a ragged"):
        layer(tf.ones([6, 4]), TRUE_IDS, tf.ones([15, 4]), excluded, training=training)


@pytest.mark.parametrize("form", ["dense", "ragged"])
def test_lists_of_sessions_are_shared_by_their_rows(form):
    """The message names a function that takes both forms, unlike `tf.repeat`."""
    lists = {"dense": tf.constant, "ragged": tf.ragged.constant}[form](HISTORIES[:2])
    arguments = tf.ones([6, 4]), TRUE_IDS, tf.ones([15, 4])
    layer = SampledSoftmax(sampler(max_num_samples=12))
    with pytest.raises(PopSamplerError, match=r"tf.gather\(excluded_ids, numbers\)"):
        layer(*arguments, lists, training=True)
    found = layer(*arguments, tf.gather(lists, [0, 0, 0, 1, 1, 1]), training=True)
    expected = layer(*arguments, tf.constant(np.repeat(HISTORIES[:2], 3, 0)), training=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("form", ["dense", "ragged"])
def test_too_few_rows_of_excluded_ids_are_refused_in_graphs_of_unknown_shapes(form):
    """Regression: TensorFlow raises the error when the graph runs, since shapes are unknown."""
    layer, dense = SampledSoftmax(sampler()), form == "dense"
    kind = tf.TensorSpec if dense else tf.RaggedTensorSpec
    ids = tf.TensorSpec([None], tf.int64)
    signature = [tf.TensorSpec([None, 4]), ids, kind([None, None], tf.int64)]
    graph = tf.function(
        lambda query, ids, excluded: layer(query, ids, tf.ones([15, 4]), excluded, training=True),
        signature,
    )
    excluded = (
        tf.constant(HISTORIES, tf.int64) if dense else tf.ragged.constant(HISTORIES, tf.int64)
    )
    ids = tf.cast(TRUE_IDS, tf.int64)
    assert graph(tf.ones([6, 4]), ids, excluded).shape == [6]
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(tf.ones([6, 4]), ids, excluded[:4])


@pytest.mark.parametrize("shape", [[4], [6, 2, 4], [1, 4], [5, 4]])
def test_queries_of_another_shape_are_refused(shape):
    with pytest.raises(PopSamplerError, match=r"queries \[batch, dim\]"):
        SampledSoftmax(sampler())(tf.ones(shape), TRUE_IDS, tf.ones([15, 4]), training=True)


@pytest.mark.parametrize("kind", [EMBEDDING, Unit])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("negatives", [sampler, lambda: AllItems(14, 3)])
def test_vectors_of_another_width_than_the_queries_are_refused(kind, training, negatives):
    layer = SampledSoftmax(negatives())
    with pytest.raises(PopSamplerError, match="queries of 5 components, item vectors of 4"):
        layer(tf.ones([6, 5]), TRUE_IDS, kind(15, 4), training=training)
