"""Triggers messages of refits in `store` and `tf`, and follows their advice."""

import tensorflow as tf

from merlin_popsampler import IdMap
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.tf import warm_start
from tests.support.messages import Entry

ITEMS = IdDomain(2, 3)
SAME = IdMap(range(4), ITEMS, ITEMS)
LAYERS = tf.keras.layers


class Parts(LAYERS.Layer):
    """A layer with a table in parts, as a partitioner creates it, or in one; of any dtype."""

    def __init__(self, parts=1, dtype="float32"):
        super().__init__(name="items", dtype=dtype)
        names = ["embeddings"] if parts == 1 else [f"part_{part}" for part in range(parts)]
        for name in names:
            self.add_weight(
                name=name, shape=(4 // parts, 2), dtype=dtype, initializer="ones", trainable=False
            )
        self.built = True


def model(rows=4, extra=False):
    """Returns a table of items, optionally with a layer that reads it."""
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


TABLE = {
    "tf.refit": [
        Entry(
            "which name the same weight. Pass the same id map for all of them",
            lambda _: warm(maps={"items": SAME, "items/embeddings": None}),
        ),
        Entry(
            "Make the table from the new data, and pass None for it",
            lambda _: warm(Parts(dtype="int32"), Parts(dtype="int32")),
        ),
        Entry("Make both models without a partitioner", lambda _: warm(Parts(2), Parts(2))),
    ],
    "tf.optimizer_slots": [
        Entry(
            "neither to begin with an optimizer that has no state", lambda _: warm(makes=[adam()])
        ),
        Entry(
            "such as Adam, Adagrad or SGD can be moved",
            lambda _: warm(makes=[tf.keras.optimizers.Adafactor] * 2),
            [lambda _: warm(), lambda _: warm(makes=[adam()] * 2)],
        ),
        Entry(
            "Make both in the same way, or leave both out",
            lambda _: warm(makes=[adam(), tf.keras.optimizers.SGD]),
        ),
    ],
}
