"""Triggers messages of `core`, and follows their advice."""

import pandas as pd

from merlin_popsampler import read_popularity
from merlin_popsampler.core.checks import batch_size, positive_number
from merlin_popsampler.core.distributions import distance, distribution_from_config
from merlin_popsampler.core.domain import IdDomain, id_domain
from merlin_popsampler.core.id_map import IdMap, check_rows, check_same_shape
from merlin_popsampler.core.sampling_numbers import steps_between
from merlin_popsampler.distributions import (
    Empirical,
    LogUniform,
    PopularityCurve,
    Segments,
    register_distribution,
)
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.messages.things import schema
from tests.support.messages import Entry

STEPS = PopularityCurve.from_counts([9, 4, 4, 1])
ITEMS = IdDomain(2, 3)
SAME = IdMap(range(4), ITEMS, ITEMS)
GONE = IdMap([0, 1, -1, -1], ITEMS, ITEMS)

TABLE = {
    "core.sampling_numbers": [Entry("to compute numbers at each", lambda _: steps_between(0))],
    "core.checks": [
        Entry(
            "to be a finite number above 0",
            lambda _: positive_number("x", 0, "Pass 1.0."),
            excepted="the advice is the caller's, an entry of its module",
        ),
        Entry("Pass a flat list of them", lambda _: PopularityCurve(["first"], [5], 1)),
        Entry("Take one, or more.", lambda _: batch_size("num_sampled", 0, 12, unique=True)),
        Entry(
            "unique samples, the number of items",
            lambda _: PopularityBasedSampler(7, 3, max_num_samples=6),
            [
                lambda _: PopularityBasedSampler(7, 3, max_num_samples=5),
                lambda _: PopularityBasedSampler(7, 3, max_num_samples=6, unique=False),
            ],
        ),
    ],
    "core.id_map": [
        Entry("Pass new_items=", lambda _: GONE.averaged("mean")),
        Entry(
            "Make each model for the schema of its own fit",
            lambda _: check_rows("items", ((3, 8), (4, 8)), SAME),
        ),
        Entry(
            "by chance, pass None, and copy it yourself",
            lambda _: check_same_shape("items", ((4, 8), (4, 8)), {"others": SAME}),
        ),
    ],
    "core.domain": [
        Entry(
            "Pass these two, or build the sampler with from_counts",
            lambda _: id_domain(0, 8, [8, 3]),
            [lambda _: id_domain(3, 8, [8, 3])],
        ),
        Entry(
            "Number the keys, for example by pandas.factorize",
            lambda _: PopularityBasedSampler.from_counts({10**15: 5, 7: 3}, max_num_samples=1),
            [
                lambda _: PopularityBasedSampler.from_counts(
                    pd.Series(pd.factorize(pd.Series([10**15, 7, 7]))[0]).value_counts(),
                    max_num_samples=1,
                )
            ],
        ),
    ],
    "core.draw_plan": [
        Entry(
            "Pass unique=False, fewer samples, or a flatter distribution",
            lambda _: PopularityBasedSampler(
                2**31 - 1, max_num_samples=2**31, distribution="uniform"
            ),
            [
                lambda _: PopularityBasedSampler(
                    2**31 - 1, 0, 9, distribution="uniform", unique=False
                ),
                lambda _: PopularityBasedSampler(2**31 - 1, 0, 9, distribution="uniform"),
            ],
        )
    ],
    "core.distributions": [
        Entry(
            "Expected the steps of a popularity curve",
            lambda _: Empirical([5, 1]),
            [lambda _: Empirical(PopularityCurve.from_counts([5, 1]))],
        ),
        Entry(
            "Choose another",
            lambda _: register_distribution(type("Mine", (LogUniform,), {"name": "uniform"})),
        ),
        Entry("Expected distortion >= 0", lambda _: Empirical(STEPS, -1.0)),
        Entry(
            "Expected the steps of the empirical distribution",
            lambda _: PopularityBasedSampler(6, 3, 2, distribution="empirical"),
            [
                lambda folder: PopularityBasedSampler.from_schema(
                    schema(folder), distribution="empirical", max_num_samples=2
                ),
                lambda _: PopularityBasedSampler(6, 3, 2, distribution=Empirical(STEPS)),
            ],
        ),
        Entry(
            "Expected a distribution's name",
            lambda _: PopularityBasedSampler(6, 3, 2, distribution="zipf"),
            [
                lambda _: PopularityBasedSampler(6, 3, 2, distribution="log_uniform"),
                lambda _: PopularityBasedSampler(6, 3, 2, distribution=LogUniform(4).get_config()),
            ],
        ),
        Entry(
            "Expected the configuration of the distribution",
            lambda _: distribution_from_config({"name": "uniform", "length": 4}),
            [lambda _: distribution_from_config(LogUniform(4).get_config())],
        ),
        Entry("Pass one count per id, in id order", lambda _: distance(LogUniform(3), [3, 2])),
    ],
    "core.segments": [
        Entry(
            "Give the segments in the order of their ranks",
            lambda _: Segments([0, 2], [0.2, 0.8], 4),
        )
    ],
    "core.popularity_curve": [
        Entry("It is the number of ids", lambda _: PopularityCurve([0], [5], -1)),
        Entry(
            "Divide all of them by the same number",
            lambda _: PopularityCurve.from_counts([2**62, 2**62]),
        ),
        Entry(
            "not a list of first id:count",
            excepted="the reason inside the message on steps that cannot be read",
        ),
        Entry("an end at", excepted="the reason inside the message on steps that cannot be read"),
        Entry(
            "Build them with PopularityCurve.from_counts",
            lambda _: PopularityCurve([0, 1], [1, 5], 2),
            [lambda _: PopularityCurve.from_counts([5, 1])],
        ),
        Entry("By default it is", lambda _: PopularityCurve.from_counts([5, 1], max_steps=0)),
        Entry("Pass the domain whose ids were counted", lambda _: STEPS.to_text(IdDomain(3, 9))),
        Entry(
            "Expected a flat list of whole counts",
            lambda _: PopularityCurve.from_counts([[5.5, 1.0]]),
        ),
        Entry(
            "Order the ids by frequency first",
            lambda _: PopularityCurve.from_counts([1, 5]),
            [lambda folder: read_popularity(schema(folder)).curve],
        ),
    ],
}
