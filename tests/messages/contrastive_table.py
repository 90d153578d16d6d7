"""Triggers messages of `tf.merlin_models`' contrastive output, and follows their advice.

Merlin Models is imported when an entry is tried, since not every environment has it.
"""

from tests.support.messages import Entry


def output(to_call="item", negatives=None, **settings):
    from merlin_popsampler.tf.merlin_models import ContrastiveOutput
    from tests.support import contrastive_models as models

    to_call = models.ITEM if to_call == "item" else to_call
    return ContrastiveOutput(to_call, negatives or models.sampler(), **settings)


def correction():
    import tensorflow as tf
    from merlin.models.tf.transforms.bias import PopularityLogitsCorrection

    from tests.support.contrastive_models import ITEM, MAX_ID

    return PopularityLogitsCorrection(tf.ones([MAX_ID + 1]), schema=ITEM)


def block():
    import tensorflow as tf

    return tf.keras.layers.Activation("linear")


def item():
    from tests.support.contrastive_models import ITEM

    return ITEM


def all_items():
    from merlin_popsampler.tf import AllItems

    return AllItems(14, 3)


def trained_without(name, targets=False):
    """Runs a step that excludes the ids of a column that the batch lacks."""
    from tests.support.contrastive_models import compiled, with_lists

    model, rows = with_lists(targets, without=name, excluded="shown")
    return compiled(model, run_eagerly=True).fit(rows, steps_per_epoch=1, verbose=0)


def with_tower(given=True, later=False):
    import tensorflow as tf

    from tests.support import contrastive_models as models

    tower = models.items_tower()
    tower({"item": tf.constant([3]), "brand": tf.constant([1])})
    settings = {"candidate": tower} if given else {}
    made = output(None, schema=models.ITEM, item_features=models.features(), **settings)
    if later:
        made.set_candidate(tower)
    inputs = {"query": tf.zeros([2, 4]), "candidate": tf.zeros([2, 4])}
    return made(inputs, features={"item": tf.constant([3, 4])}, training=True)


TABLE = {
    "tf.merlin_models.contrastive": [
        Entry("Pass 1.0 for the whole correction", lambda _: output(logq_strength=2)),
        Entry("Pass how many of the best items count", lambda _: output(top_k=0)),
    ],
    "tf.merlin_models.contrastive_settings": [
        Entry("Expected evaluate_on to be one of", lambda _: output(evaluate_on="all")),
        Entry(
            "or sample the negatives",
            lambda _: output(None, all_items(), schema=item()),
            [lambda _: output(negatives=all_items()), lambda _: output(None, schema=item())],
        ),
        Entry(
            "which would correct a second time",
            lambda _: output(post=correction(), evaluate_on="candidates"),
        ),
        Entry(
            "which computes scores block by block",
            lambda _: output(post=block()),
            [lambda _: output(post=block(), evaluate_on="candidates")],
        ),
    ],
    "tf.merlin_models.batch_columns": [
        Entry(
            "Put the ids into a column",
            lambda _: output(excluded=[3, 4]),
            [lambda _: output(excluded="history")],
        ),
        Entry(
            "or move it to a dict of targets",
            lambda _: trained_without("shown"),
            [lambda _: trained_without(None), lambda _: trained_without(None, targets=True)],
        ),
    ],
    "tf.merlin_models.item_tower": [
        Entry(
            "Expected the item tower",
            lambda _: with_tower(given=False),
            [lambda _: with_tower(), lambda _: with_tower(given=False, later=True)],
        )
    ],
}
