"""Messages of `core` and their advice, followed."""

from merlin_popsampler import read_popularity
from merlin_popsampler.core.checks import batch_size, whole_number
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.laws import distance, law_from_config
from merlin_popsampler.laws import Empirical, LogUniform, Pieces, Steps, register_law
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.messages.things import schema
from tests.support.messages import Entry

STEPS = Steps.from_counts([9, 4, 4, 1])

TABLE = {
    "core.checks": [
        Entry(
            "to be a whole number",
            lambda _: whole_number("x", 0.5, 0, "Pass a whole number."),
            excepted="the advice is the caller's, an entry of its module",
        ),
        Entry(
            "Take one, or more.",
            lambda _: batch_size("num_sampled", 0, 12, unique=True),
            [lambda _: batch_size("num_sampled", 1, 1, unique=True)],
        ),
        Entry(
            "unique samples, the number of items",
            lambda _: PopularityBasedSampler(7, 3, max_num_samples=6),
            [
                lambda _: PopularityBasedSampler(7, 3, max_num_samples=5),
                lambda _: PopularityBasedSampler(7, 3, max_num_samples=6, unique=False),
            ],
        ),
    ],
    "core.domain": [
        Entry(
            "Take it from the data set's schema",
            lambda _: PopularityBasedSampler(max_id="7"),
            [lambda folder: PopularityBasedSampler.from_schema(schema(folder), max_num_samples=2)],
        ),
        Entry(
            "Expected min_id <= max_id",
            lambda _: IdDomain(7, 3),
            [lambda _: LogUniform(IdDomain(3, 7).size)],
        ),
    ],
    "core.laws": [
        Entry(
            "Choose another",
            lambda _: register_law(type("Mine", (LogUniform,), {"name": "uniform"})),
            [lambda _: register_law(type("Mine", (LogUniform,), {"name": "mine"}))],
        ),
        Entry(
            "Expected distortion >= 0",
            lambda _: Empirical(STEPS, -1.0),
            [
                lambda _: Empirical(STEPS, 1.0),
                lambda _: Empirical(STEPS, 0.75),
                lambda _: Empirical(STEPS, 0.0),
            ],
        ),
        Entry(
            "Expected the steps of the empirical law",
            lambda _: PopularityBasedSampler(6, 3, 2, law="empirical"),
            [
                lambda folder: PopularityBasedSampler.from_schema(
                    schema(folder), law="empirical", max_num_samples=2
                ),
                lambda _: PopularityBasedSampler(6, 3, 2, law=Empirical(STEPS)),
            ],
        ),
        Entry(
            "Expected a law's name",
            lambda _: PopularityBasedSampler(6, 3, 2, law="zipf"),
            [
                lambda _: PopularityBasedSampler(6, 3, 2, law="log_uniform"),
                lambda _: PopularityBasedSampler(6, 3, 2, law=LogUniform(4).get_config()),
            ],
        ),
        Entry(
            "Expected the configuration of the law",
            lambda _: law_from_config({"name": "uniform", "length": 4}),
            [lambda _: law_from_config(LogUniform(4).get_config())],
        ),
        Entry(
            "Pass one count per id, in id order",
            lambda _: distance(LogUniform(3), [3, 2]),
            [lambda _: distance(LogUniform(3), [3, 2, 1])],
        ),
    ],
    "core.pieces": [
        Entry(
            "Give the pieces in the order of their ranks",
            lambda _: Pieces([0, 2], [0.2, 0.8], 4),
            [lambda _: Pieces([0, 2], [0.8, 0.2], 4)],
        ),
    ],
    "core.steps": [
        Entry(
            "Build them with Steps.from_counts",
            lambda _: Steps([0, 1], [1, 5], 2),
            [lambda _: Steps.from_counts([5, 1])],
        ),
        Entry(
            "By default it is",
            lambda _: Steps.from_counts([5, 1], max_steps=0),
            [lambda _: Steps.from_counts([5, 1])],
        ),
        Entry(
            "Run the preprocessing workflow again",
            lambda _: Steps.parse("3:1,4:5", IdDomain(3, 4)),
            [lambda folder: read_popularity(schema(folder)).curve],
        ),
        Entry(
            "Pass the domain whose ids were counted",
            lambda _: STEPS.to_text(IdDomain(3, 9)),
            [lambda _: STEPS.to_text(IdDomain(3, 6))],
        ),
        Entry(
            "Expected a flat list of whole counts",
            lambda _: Steps.from_counts([[5.5, 1.0]]),
            [lambda _: Steps.from_counts([5, 1])],
        ),
        Entry(
            "Order the ids by frequency first",
            lambda _: Steps.from_counts([1, 5]),
            [lambda folder: read_popularity(schema(folder)).curve],
        ),
    ],
}
