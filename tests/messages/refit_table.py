"""Messages of refits in `store` and `tf`, and their advice, followed."""

import numpy as np
import pandas as pd
import tensorflow as tf

from merlin_popsampler import IdMap, id_map
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.tf import warm_start
from tests.messages.things import encoder
from tests.support.messages import Entry
from tests.support.workflow_helpers import dataset, fitted, saved

ITEMS = IdDomain(2, 3)
SAME = IdMap(range(4), ITEMS, ITEMS)
GROWN = IdMap(range(4), ITEMS, IdDomain(2, 4))
LAYERS = tf.keras.layers


class Parts(LAYERS.Layer):
    """A table in parts, as a partitioner makes it, or whole; of any dtype."""

    def __init__(self, parts=1, dtype="float32"):
        super().__init__(name="items", dtype=dtype)
        names = ["embeddings"] if parts == 1 else [f"part_{part}" for part in range(parts)]
        for name in names:
            self.add_weight(
                name=name, shape=(4 // parts, 2), dtype=dtype, initializer="ones", trainable=False
            )
        self.built = True


def model(rows=4, extra=False):
    """A table of items, and perhaps a layer that reads it."""
    ids = tf.keras.Input([], dtype="int64")
    found = LAYERS.Embedding(rows, 2, name="items")(ids)
    return tf.keras.Model(ids, LAYERS.Dense(2)(found) if extra else found)


def stepped(owner, made=None):
    made = made or tf.keras.optimizers.Adam()
    variables = owner.trainable_variables
    made.apply_gradients([(tf.ones_like(variable), variable) for variable in variables])
    return made


def warm(new=None, old=None, maps=None, makes=(), **options):
    new, old = new or model(), old or model()
    names = ("optimizer", "old_optimizer")
    made = [stepped(owner, make()) for owner, make in zip((new, old), makes)]
    options = {**options, **dict(zip(names, made))}
    return warm_start(new, old, maps or {"items": SAME}, **options)


def adam(**options):
    return lambda: tf.keras.optimizers.Adam(**options)


def combined(folder, column=None):
    frame = pd.DataFrame({"a": [1, 2], "b": [1, 2]})
    fitted(["a"] >> encoder(folder / "1"), dataset(frame, 1))
    fitted([["a", "b"]] >> encoder(folder / "2", encode_type="combo"), dataset(frame, 1))
    return id_map(folder / ("2" if column else "1") / "fit", folder / "2" / "fit", column)


def kinds(folder, other):
    sides = saved(["1", "2"], folder / "a"), saved(other, folder / "b")
    return id_map(*(side / "fit" for side in sides))


TABLE = {
    "store.id_map": [
        Entry(
            "the column's name where there are several",
            lambda folder: id_map(folder, saved(["tea"], folder / "new") / "fit"),
            [
                lambda folder: id_map(*[saved(["tea"], folder) / "fit"] * 2),
                lambda folder: id_map(*[saved(["tea"], folder) / "workflow"] * 2),
            ],
        ),
    ],
    "store.key_match": [
        Entry(
            "Compare two fits of the same columns",
            combined,
            [lambda folder: combined(folder, "a_b")],
        ),
        Entry(
            "Compare two fits of the same column.",
            lambda folder: kinds(folder, [1, 2]),
            [lambda folder: kinds(folder, ["2", "3"])],
        ),
    ],
    "tf.refit": [
        Entry(
            "Give all names of a table that is shared one id map",
            lambda _: warm(maps={"items": SAME, "items/embeddings": None}),
            [lambda _: warm(maps={"items": SAME, "items/embeddings": SAME})],
        ),
        Entry(
            "call each on a batch first",
            lambda _: warm(LAYERS.Embedding(4, 2), LAYERS.Embedding(4, 2), SAME),
            [
                lambda _: warm(model(extra=True), model(extra=True)),
                lambda _: warm(model().layers[1], model().layers[1], SAME),
            ],
        ),
        Entry(
            "columns of embedding tables",
            lambda _: warm(maps={"item_id": SAME}),
            [lambda _: warm(maps={"items": SAME})],
        ),
        Entry(
            "Make the new model anew",
            lambda _: warm(*[model()] * 2),
            [lambda _: warm()],
        ),
        Entry(
            "Make the table from the new data, and pass None for it",
            lambda _: warm(Parts(dtype="int32"), Parts(dtype="int32")),
            [lambda _: warm(Parts(dtype="int32"), Parts(dtype="int32"), {"items": None})],
        ),
        Entry(
            "Make both models without a partitioner",
            lambda _: warm(Parts(2), Parts(2)),
            [lambda _: warm(Parts(), Parts())],
        ),
    ],
    "tf.row_moves": [
        Entry(
            "Pass an initializer of Keras",
            lambda _: warm(model(5), maps={"items": GROWN}, new_items=lambda *_, **__: np.zeros(1)),
            [
                lambda _: warm(
                    model(5), maps={"items": GROWN}, new_items=tf.keras.initializers.RandomUniform()
                )
            ],
        ),
    ],
    "tf.optimizer_slots": [
        Entry(
            "neither to begin with an optimizer that has no state",
            lambda _: warm(makes=[adam()]),
            [lambda _: warm(makes=[adam()] * 2), lambda _: warm()],
        ),
        Entry(
            "begin with an optimizer such as Adam, Adagrad or SGD",
            lambda _: warm(makes=[tf.keras.optimizers.Adafactor] * 2),
            [lambda _: warm(makes=[tf.keras.optimizers.Adagrad] * 2), lambda _: warm()],
        ),
        Entry(
            "without averages of weights",
            lambda _: warm(makes=[adam(use_ema=True)] * 2),
            [lambda _: warm(makes=[adam()] * 2), lambda _: warm()],
        ),
        Entry(
            "Make both in the same way, or leave both out",
            lambda _: warm(makes=[adam(), tf.keras.optimizers.SGD]),
            [lambda _: warm(makes=[adam()] * 2), lambda _: warm()],
        ),
    ],
}
