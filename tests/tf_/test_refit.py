"""A warm start of a Keras model moves each row to the id that its item has now.

The oracle keeps the rows by the items' names, and asks by name afterwards.
"""

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler import IdMap, PopSamplerError
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.id_map import MovedRows
from merlin_popsampler.tf import PopularityBasedSampler, SampledSoftmax, warm_start

OLD_ITEMS = ["tea", "milk", "jam", "rice", "salt"]
NEW_ITEMS = ["milk", "corn", "tea", "salt", "oats", "rice", "plum"]
OLD, NEW = IdDomain(3, 7), IdDomain(3, 9)
DIM = 4
OLD_IDS = dict(zip([0, 1, 2, *OLD_ITEMS], range(8)))
NEW_IDS = dict(zip([0, 1, 2, *NEW_ITEMS], range(10)))
IDS = IdMap([NEW_IDS.get(name, -1) for name in OLD_IDS], OLD, NEW)
KEPT = [name for name in OLD_IDS if name in NEW_IDS]
ADDED = [NEW_IDS[name] for name in NEW_IDS if name not in OLD_IDS]
MAPS = {"read": IDS, "items": IDS, "head": IDS}
KERAS_3 = hasattr(tf.keras, "Variable")


def model_of(domain, seed, shared=False):
    """Reads items from one table and finds them in another; a Dense layer scores all of them."""
    tf.keras.utils.set_random_seed(seed)
    layers = tf.keras.layers
    ids = tf.keras.Input([], dtype="int64")
    read = layers.Embedding(domain.cardinality, DIM, name="items" if shared else "read")
    items = read if shared else layers.Embedding(domain.cardinality, DIM, name="items")
    query = layers.BatchNormalization()(read(ids))
    sampler = PopularityBasedSampler(domain.max_id, domain.min_id, 3, seed=17)
    losses = SampledSoftmax(sampler, name="softmax")(query, ids, items)
    scores = layers.Dense(domain.cardinality, name="head")(query)
    return tf.keras.Model(ids, [losses, scores])


OPTIMIZERS = {
    "Adam": lambda: tf.keras.optimizers.Adam(0.01),
    "AMSGrad": lambda: tf.keras.optimizers.Adam(0.01, amsgrad=True),
    "Adagrad": lambda: tf.keras.optimizers.Adagrad(0.01, initial_accumulator_value=0.5),
    "SGD": lambda: tf.keras.optimizers.SGD(0.01, momentum=0.9),
}
if not KERAS_3:
    OPTIMIZERS.update(
        {
            "legacy Adam": lambda: tf.keras.optimizers.legacy.Adam(0.01),
            "legacy Adagrad": lambda: tf.keras.optimizers.legacy.Adagrad(
                0.01, initial_accumulator_value=0.5
            ),
            "legacy SGD": lambda: tf.keras.optimizers.legacy.SGD(0.01, momentum=0.9),
        }
    )
SLOTS = {"Adam": 2, "AMSGrad": 3, "Adagrad": 1, "SGD": 1}


def train(model, optimizer, domain, steps=2):
    ids = tf.range(tf.constant(domain.min_id, tf.int64), domain.max_id + 1)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            losses, scores = model(ids, training=True)
            loss = tf.reduce_mean(losses) + tf.reduce_mean(tf.reduce_logsumexp(scores, 1))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))


def trained(make=OPTIMIZERS["Adam"], **options):
    model, optimizer = model_of(OLD, 1, **options), make()
    train(model, optimizer, OLD)
    return model, optimizer


def values(layer):
    return {each.name.split("/")[-1].split(":")[0]: each.numpy() for each in layer.weights}


def everything(*models):
    return [weight.numpy().tobytes() for model in models for weight in model.weights]


def state(*optimizers):
    found = [o.variables() if callable(o.variables) else o.variables for o in optimizers]
    return [variable.numpy().tobytes() for variables in found for variable in variables]


def assert_moved(new_rows, old_rows):
    before = {name: old_rows[at].tolist() for name, at in OLD_IDS.items()}
    now = {name: new_rows[at].tolist() for name, at in NEW_IDS.items()}
    assert {name: now[name] for name in KEPT} == {name: before[name] for name in KEPT}


@pytest.mark.parametrize("shared", [False, True], ids=["two tables", "one table"])
def test_rows_follow_their_items(shared):
    (old, _), new = trained(shared=shared), model_of(NEW, 2, shared)
    before = everything(old)
    maps = {name: IDS for name in MAPS if not (shared and name == "read")}
    report = warm_start(new, old, maps)
    assert everything(old) == before
    for name in maps:
        for key, rows in values(new.get_layer(name)).items() if name != "items" else ():
            assert_moved(rows.T if key == "kernel" else rows, old_value(old, name, key))
    tables = {layer.name: layer for layer in new._flatten_layers()}
    olds = {layer.name: layer for layer in old._flatten_layers()}
    assert_moved(values(tables["items"])["embeddings"], values(olds["items"])["embeddings"])
    paths = ["items/embeddings", "head/kernel", "head/bias"]
    paths += [] if shared else ["read/embeddings"]
    assert report.tables == dict.fromkeys(paths, MovedRows(7, 3, 1))
    assert len(report.copied) == 5
    assert report.left == []


def old_value(model, name, key):
    rows = values(model.get_layer(name))[key]
    return rows.T if key == "kernel" else rows


def sampler_of(model):
    (found,) = [s for s in model._flatten_layers() if isinstance(s, PopularityBasedSampler)]
    return found


def test_draws_go_on_over_the_new_catalog():
    (old, _), new = trained(), model_of(NEW, 2)
    untouched = sampler_of(model_of(NEW, 2))
    warm_start(new, old, MAPS)
    for _ in range(2):
        untouched.sample_ids()  # as often as the old model drew
    assert np.array_equal(sampler_of(new).sample_ids(), untouched.sample_ids())


@pytest.mark.parametrize(
    ("name", "used"), [*((name, False) for name in OPTIMIZERS), ("Adam", True), ("Adagrad", True)]
)
def test_slots_follow_their_rows(name, used):
    old, old_optimizer = trained(OPTIMIZERS[name])
    new, optimizer = model_of(NEW, 2), OPTIMIZERS[name]()
    if used:
        train(new, optimizer, NEW, 1)
    optimizer.learning_rate = 0.5
    report = warm_start(new, old, MAPS, optimizer=optimizer, old_optimizer=old_optimizer)
    expected = SLOTS[name.replace("legacy ", "")]
    assert [len(slots) for slots in report.slots.values()] == [expected] * 4
    first = 0.5 if "Adagrad" in name else 0.0
    assert len(slots_of(optimizer)) == 6 * expected
    for now, before in zip(slots_of(optimizer), slots_of(old_optimizer)):
        if len(now) == 10:
            assert_moved(now, before)
            assert (now[ADDED] == first).all()
            assert before[3:].any()
        else:
            assert np.array_equal(now, before)
    assert int(optimizer.iterations.numpy()) == 2
    assert float(optimizer.learning_rate.numpy()) == 0.5
    train(new, optimizer, NEW)


def scorer(domain, make):
    tf.keras.utils.set_random_seed(3)
    ids = tf.keras.Input([], dtype="int64")
    vectors = tf.keras.layers.Embedding(domain.cardinality, DIM, name="items")(ids)
    model = tf.keras.Model(ids, tf.keras.layers.Dense(1)(vectors))
    model.compile(make(), "mse")
    return model


def losses_of(model, ids, steps):
    ids, targets = np.array(ids), np.arange(len(ids), dtype="float32")
    options = {"batch_size": len(ids), "shuffle": False, "verbose": 0}
    return model.fit(ids, targets, epochs=steps, **options).history["loss"]


CONTINUED = {**OPTIMIZERS, "Nadam": lambda: tf.keras.optimizers.Nadam(0.1)}
if KERAS_3:
    CONTINUED["steps of two batches"] = lambda: tf.keras.optimizers.Adam(
        0.1, gradient_accumulation_steps=2
    )
else:
    CONTINUED["legacy Nadam"] = lambda: tf.keras.optimizers.legacy.Nadam(0.1)
if hasattr(tf.keras.optimizers, "Muon"):
    CONTINUED["Muon"] = lambda: tf.keras.optimizers.Muon(0.1)


@pytest.mark.parametrize("name", CONTINUED)
def test_training_continues_as_it_would_have(name):
    """On the items that stay; numbers of the whole optimizer are moved too."""
    old, new = scorer(OLD, CONTINUED[name]), scorer(NEW, CONTINUED[name])
    losses_of(old, range(8), 3)
    optimizers = {"optimizer": new.optimizer, "old_optimizer": old.optimizer}
    warm_start(new, old, {"items": IDS}, **optimizers)
    expected = losses_of(old, [OLD_IDS[name] for name in KEPT], 3)
    assert losses_of(new, [NEW_IDS[name] for name in KEPT], 3) == pytest.approx(expected, rel=1e-5)


def slots_of(optimizer):
    """Values of an optimizer that have the shape of a weight, in its own order, ids first."""
    found = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
    values = [variable.numpy() for variable in found if len(variable.shape)]
    return [value.T if value.shape in ((DIM, 8), (DIM, 10)) else value for value in values]


def test_one_table_alone():
    old, new = (tf.keras.layers.Embedding(ids.cardinality, DIM) for ids in (OLD, NEW))
    old.build(None)
    new.build(None)
    (moved,) = warm_start(new, old, IDS).tables.values()
    assert moved == MovedRows(7, 3, 1)
    assert_moved(new.embeddings.numpy(), old.embeddings.numpy())


def tables(dtype="float32"):
    made = [tf.keras.layers.Embedding(ids.cardinality, DIM, dtype=dtype) for ids in (NEW, OLD)]
    for layer in made:
        layer.build(None)
    return made


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_new_items_begin_with_the_mean_of_the_items_that_stayed(dtype):
    new, old = tables(dtype)
    warm_start(new, old, IDS)
    kept = [OLD_IDS[name] for name in KEPT if isinstance(name, str)]
    mean = old.embeddings.numpy().astype(np.float64)[kept].mean(0)
    found = new.embeddings.numpy().astype(np.float64)[ADDED]
    assert np.allclose(found, mean, rtol=1e-6 if dtype == "float32" else 1e-2, atol=1e-8)


def test_new_items_begin_as_unknown_keys_as_initialized_or_by_an_initializer():
    new, old = tables()
    own = new.embeddings.numpy()[ADDED]
    warm_start(new, old, IDS, new_items="as initialized")
    assert np.array_equal(new.embeddings.numpy()[ADDED], own)
    warm_start(new, old, IDS, new_items="out of vocabulary")
    assert np.array_equal(new.embeddings.numpy()[ADDED], old.embeddings.numpy()[[2, 2, 2]])
    warm_start(new, old, IDS, new_items=tf.keras.initializers.Ones())
    assert (new.embeddings.numpy()[ADDED] == 1).all()


def test_columns_of_a_kernel_begin_with_their_mean():
    (old, _), new = trained(), model_of(NEW, 2)
    warm_start(new, old, MAPS)
    kept = [OLD_IDS[name] for name in KEPT if isinstance(name, str)]
    mean = values(old.get_layer("head"))["kernel"][:, kept].mean(1)
    assert np.allclose(values(new.get_layer("head"))["kernel"][:, ADDED], mean[:, None])


class Untied(tf.keras.layers.Embedding):
    """Has the weights of Keras's `ReversibleEmbedding(tie_weights=False)`."""

    def build(self, shape=None):
        super().build(shape)
        self.reverse = self.add_weight(
            name="reverse_embeddings", shape=(self.output_dim, self.input_dim)
        )


def test_columns_of_an_untied_table_follow_their_items():
    old, new = (Untied(ids.cardinality, DIM) for ids in (OLD, NEW))
    old.build()
    new.build()
    assert len(warm_start(new, old, IDS).tables) == 2
    assert_moved(new.embeddings.numpy(), old.embeddings.numpy())
    assert_moved(new.reverse.numpy().T, old.reverse.numpy().T)


def adapted(kind, domain, seed, rank=2):
    """Returns a model of one layer with a row or column for each id, with LoRA if `rank` is set."""
    tf.keras.utils.set_random_seed(seed)
    if kind == "table":
        model = tf.keras.Sequential([tf.keras.layers.Embedding(domain.cardinality, DIM)])
    else:
        model = tf.keras.Sequential([tf.keras.layers.Dense(domain.cardinality)])
    model.build([None] if kind == "table" else [None, DIM])
    if rank:
        model.layers[0].enable_lora(rank)
    for weight in model.weights:
        weight.assign(tf.random.normal(weight.shape))
    return model


def rows_of(kind, model):
    """Returns what the model computes for each id, LoRA included."""
    if kind == "table":
        return np.asarray(model(np.arange(model.layers[0].input_dim)))
    return np.asarray(model(np.eye(DIM))).T


@pytest.mark.keras3
@pytest.mark.parametrize("kind", ["table", "head"])
def test_lora_moves_with_its_table(kind):
    old, new = adapted(kind, OLD, 1), adapted(kind, NEW, 2)
    (layer,) = (layer.name for layer in new.layers)
    report = warm_start(new, old, {layer: IDS})
    assert len(report.copied) == 1  # the factor without ids
    before, now = rows_of(kind, old), rows_of(kind, new)
    for name in KEPT:
        assert np.allclose(now[NEW_IDS[name]], before[OLD_IDS[name]], atol=1e-5)
    none = adapted(kind, OLD, 3)
    assert len(warm_start(none, old, {none.layers[0].name: None}).left) == len(none.weights)


class Named(tf.keras.layers.Layer):
    """Has a row for each id in a weight of its own, named like a factor of LoRA."""

    def __init__(self, rows, **kwargs):
        super().__init__(**kwargs)
        self.rows = rows

    def build(self, _):
        shape = [self.rows, DIM]
        self.table = self.add_weight(name="lora_kernel_a", shape=shape, initializer="uniform")


def test_a_table_named_like_a_factor_of_lora_moves():
    old, new = (Named(domain.cardinality, name="items") for domain in (OLD, NEW))
    for layer in (old, new):
        layer.build([None])
    warm_start(new, old, {"items": IDS})
    before, now = np.asarray(old.table), np.asarray(new.table)
    for name in KEPT:
        assert np.array_equal(now[NEW_IDS[name]], before[OLD_IDS[name]])


@pytest.mark.keras3
@pytest.mark.parametrize("kind", ["table", "head"])
def test_lora_in_one_model_alone_is_merged_by_its_file(kind, tmp_path):
    old, new = adapted(kind, OLD, 1), adapted(kind, NEW, 2, rank=0)
    maps = {new.layers[0].name: IDS}
    refused(r"after the warm start.*save_weights\(\) merges it", new, old, maps)
    merged = adapted(kind, OLD, 3, rank=0)
    old.save_weights(tmp_path / "old.weights.h5")
    merged.load_weights(tmp_path / "old.weights.h5")
    warm_start(new, merged, maps)
    before, now = rows_of(kind, old), rows_of(kind, new)
    for name in KEPT:
        assert np.allclose(now[NEW_IDS[name]], before[OLD_IDS[name]], atol=1e-5)


@pytest.mark.keras3
@pytest.mark.parametrize("kind", ["table", "head"])
def test_quantized_tables_are_refused(kind):
    old, new = adapted(kind, OLD, 1, rank=0), adapted(kind, NEW, 2, rank=0)
    maps = {new.layers[0].name: IDS}
    old.layers[0].quantize("int8")
    refused("Enable LoRA and quantize after the warm start", new, old, maps)
    new.layers[0].quantize("int8")
    refused(r"Where quantize\(\) made it, warm start the model before that", new, old, maps)


def test_none_leaves_a_table_as_it_is():
    (old, _), new = trained(), model_of(NEW, 2)
    expected = new.get_layer("head").get_weights()
    report = warm_start(new, old, {**MAPS, "head": None})
    for found, value in zip(new.get_layer("head").get_weights(), expected):
        assert np.array_equal(found, value)
    assert report.left == ["head/kernel", "head/bias"]


def test_a_saved_model_will_do(tmp_path):
    old, _ = trained()
    path = str(tmp_path / ("old.keras" if KERAS_3 else "old"))
    old.save(path)
    loaded = tf.keras.models.load_model(path, compile=False)
    news = model_of(NEW, 2), model_of(NEW, 2)
    warm_start(news[0], loaded, MAPS)
    warm_start(news[1], old, MAPS)
    assert everything(news[0]) == everything(news[1])


def test_samplers_of_unsorted_ids_keep_the_ranks_of_the_new_counts():
    def make(counts):
        return PopularityBasedSampler.from_counts(counts, max_num_samples=2, seed=1)

    old, new, expected = map(make, ({3: 1, 4: 2, 5: 3}, *[{3: 3, 4: 1, 5: 2, 6: 1}] * 2))
    for sampler in (old, expected):
        sampler.sample_ids()
    warm_start(new, old, {})
    assert np.array_equal(new.sample_ids(), expected.sample_ids())


# ------------------------------------------------------------------ refusals


def refused(says, new, old, maps=MAPS, optimizers=(None, None), **options):
    """It fails, and leaves all that was passed as it was."""
    given = [optimizer for optimizer in optimizers if optimizer is not None]
    before = everything(new, old), state(*given)
    with pytest.raises(PopSamplerError, match=says):
        warm_start(new, old, maps, optimizer=optimizers[0], old_optimizer=optimizers[1], **options)
    assert (everything(new, old), state(*given)) == before


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("domain", [NEW, OLD], ids=["more rows", "as many rows"])
def test_a_table_without_a_name_is_refused(name, domain):
    ids = IDS if domain is NEW else IdMap(range(8), OLD, OLD)
    maps = {other: ids for other in MAPS if other != name}
    refused(f"Weight '{name}.*Add its name", model_of(domain, 2), model_of(OLD, 1), maps)


def test_other_models_and_maps_are_refused():
    old, new = model_of(OLD, 1), model_of(NEW, 2)
    other = IdMap(range(9), IdDomain(3, 8), NEW)
    refused("Table 'read/embeddings'", new, old, dict.fromkeys(MAPS, other))
    refused("names of layers", new, old, {**MAPS, "item": IDS})
    refused("same weights in the same order", new, model_of(OLD, 1, shared=True))
    refused("share no variables", old, old, dict.fromkeys(MAPS, IdMap(range(8), OLD, OLD)))
    refused("same weights", tf.keras.layers.Dense(2), tf.keras.layers.Dense(2), IDS)


def test_optimizers_that_do_not_go_together_are_refused():
    old, old_optimizer = trained()
    new = model_of(NEW, 2)
    make = tf.keras.optimizers
    refused("one class", new, old, optimizers=(make.SGD(), old_optimizer))
    refused("together", new, old, optimizers=(make.Adam(), None))
    refused("together", new, old, optimizers=(None, old_optimizer))
    averaged = make.Adam(use_ema=True)
    refused("averages of weights", new, old, optimizers=(averaged, old_optimizer))
    factored = make.Adafactor()
    train(old, factored, OLD, 1)
    refused("slots of its own shape", new, old, optimizers=(make.Adafactor(), factored))


def test_numbers_of_items_are_not_averaged():
    class Categories(tf.keras.layers.Layer):
        def build(self, shape):
            self.ids = self.add_weight(
                name="ids", shape=shape, dtype="int32", trainable=False, initializer="zeros"
            )

    new, old = Categories(name="a"), Categories(name="a")
    new.build((10,))
    old.build((8,))
    refused("floating-point", new, old, {"a": IDS})
    assert warm_start(new, old, {"a": None}).left == ["a/ids"]


@pytest.mark.parametrize("other", [tf.keras.initializers.Zeros, np.array([1.0, 2.0]), "zeros"])
def test_a_class_or_an_array_is_no_initializer(other):
    ids = IdMap(range(4), IdDomain(2, 3), IdDomain(2, 3))
    old, new = (tf.keras.layers.Embedding(4, 2) for _ in range(2))
    old.build(None), new.build(None)
    with pytest.raises(PopSamplerError, match="Expected new_items in .*, or an initializer"):
        warm_start(new, old, ids, new_items=other)


def test_an_initializer_that_fails_changes_nothing():
    new, old = model_of(NEW, 2), model_of(OLD, 1)
    refused("initializer to give shape", new, old, new_items=lambda *_, **__: np.zeros(2))
    refused("Expected new_items", new, old, new_items="zeros")


@pytest.mark.keras2
def test_parts_of_a_table_are_refused():
    """Keras 3 has no partitioner."""

    class Parts(tf.keras.layers.Layer):
        def build(self, shape):
            for part in range(2):
                self.add_weight(name=f"embeddings/part_{part}", shape=shape, initializer="zeros")

    new, old = Parts(name="a"), Parts(name="a")
    new.build((5, 2))
    old.build((4, 2))
    refused("holds all of its values", new, old, {"a": IDS})


REPLICAS = """
import numpy as np
from merlin_popsampler.tf import warm_start
from tests.tf_.test_refit import KERAS_3, MAPS, NEW, model_of, trained

with strategy.scope():
    new = model_of(NEW, 2)
(old, _), alone = trained(), model_of(NEW, 2)
warm_start(new, old, MAPS)
warm_start(alone, old, MAPS)
for weight, expected in zip(new.weights, alone.weights):
    local = getattr(weight, "value", weight) if KERAS_3 else weight
    replicas = strategy.experimental_local_results(local)
    assert len(replicas) == 2
    for replica in replicas:
        assert np.array_equal(replica.numpy(), expected.numpy())
"""


def test_replicas_of_a_strategy_get_the_same(replicas):
    replicas.run(REPLICAS)


@pytest.mark.parametrize("old", ["old.keras", None])
def test_a_path_is_no_earlier_model(old):
    new = tf.keras.layers.Embedding(2, 2)
    new.build(None)
    with pytest.raises(PopSamplerError, match="Expected two Keras models or layers"):
        warm_start(new, old, IdMap([0, 1], IdDomain(0, 1), IdDomain(0, 1)))
