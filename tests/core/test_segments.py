"""Compares probabilities, inverses and heads of segments with sums over single ranks."""

import numpy as np
import pytest

from merlin_popsampler.core.segments import Segments
from merlin_popsampler.errors import PopSamplerError
from tests.conftest import SEED

FLAT = Segments([0, 1, 3, 7], [0.4, 0.3, 0.2, 0.1], 10)
CURVED = Segments([0], [1.0], 50, shift=2.7)


def test_flat_segments_share_their_mass():
    expected = [0.4] + [0.15] * 2 + [0.05] * 4 + [0.1 / 3] * 3
    np.testing.assert_allclose(FLAT.dense(), expected, rtol=1e-15)
    assert FLAT.prob([-1, 10]).tolist() == [0.0, 0.0]
    assert FLAT.index(np.arange(10)).tolist() == [0, 1, 1, 2, 2, 2, 2, 3, 3, 3]
    assert FLAT.cdf.tolist() == pytest.approx([0, 0.4, 0.7, 0.9, 1.0])


def test_the_logarithmic_segment_is_a_difference_of_logarithms():
    edges = np.log(np.arange(51) + 2.7)
    expected = np.diff(edges) / (edges[-1] - edges[0])
    np.testing.assert_allclose(CURVED.dense(), expected, rtol=1e-12)
    np.testing.assert_allclose(CURVED.prob(np.arange(50)), expected, rtol=1e-12)
    assert CURVED.prob([-1, 50]).tolist() == [0.0, 0.0]
    assert CURVED.dense().sum() == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize(
    "segments", [FLAT, CURVED, Segments([0], [1.0], 1), Segments([0], [1.0], 7)]
)
def test_the_inverse_has_the_mass_of_each_rank(segments):
    grid = (np.arange(300_000) + 0.5) / 300_000
    share = np.bincount(segments.inverse(grid), minlength=segments.size) / len(grid)
    np.testing.assert_allclose(share, segments.dense(), atol=1.01 / len(grid))
    assert segments.inverse([0.0, 1 - 2.0**-53]).tolist() == [0, segments.size - 1]


def test_what_rounding_makes_of_a_uniform_stays_inside_its_segment():
    rng = np.random.default_rng(SEED)
    for size in rng.integers(2, 3000, 400).tolist():
        starts = np.unique(np.append(0, rng.integers(0, size, 20)))
        heights = np.sort(rng.random(len(starts)))[::-1] + 0.01
        masses = heights * np.diff(starts, append=size)
        segments = Segments(starts, masses / masses.sum(), size)
        ends = np.nextafter(segments.cdf[1:], 0.0)
        assert segments.inverse(ends).tolist() == [*(starts[1:] - 1), size - 1]
        assert segments.inverse(segments.cdf[:-1]).tolist() == starts.tolist()
    for size in (2 ** rng.uniform(1, 53, 400)).astype(int).tolist():
        curved = Segments([0], [1.0], size, shift=float(rng.random() * 10))
        assert 0 <= size - 1 - curved.inverse([np.nextafter(1.0, 0.0)])[0] <= 1e-13 * size


def test_uniforms_of_single_precision_are_the_numbers_that_they_are():
    uniforms = np.random.default_rng(SEED).random(1000).astype(np.float32)
    far = Segments([0], [1.0], 2**40, shift=1.0)
    assert far.inverse(uniforms).tolist() == far.inverse(uniforms.astype(float)).tolist()


@pytest.mark.parametrize("segments", [FLAT, CURVED, Segments([0], [1.0], 10**6, shift=0.25)])
@pytest.mark.parametrize("x", [0.01, 1.0, 300.0])
def test_nodes_stand_for_the_catalog(segments, x):
    probs, multiplicities = segments.nodes()
    expected = -np.expm1(-x * segments.dense()).sum()
    assert -np.expm1(-x * probs) @ multiplicities == pytest.approx(expected, rel=1e-10)


def test_heads_end_where_segments_do():
    heads, masses = FLAT.heads()
    assert heads.tolist() == [0, 1, 3, 7]
    assert masses.tolist() == pytest.approx([0, 0.4, 0.7, 0.9])
    far = Segments([0, 2**17, 2**17 + 1], [0.9, 5e-6, 0.1 - 5e-6], 10**6)
    assert far.heads()[0].tolist() == [0, 2**17]


def test_heads_of_a_logarithmic_segment():
    heads, masses = CURVED.heads()
    assert heads.tolist() == [0, 1, 3, 7, 15, 31]
    before = np.append(0.0, np.cumsum(CURVED.dense()))
    assert masses.tolist() == pytest.approx(before[heads].tolist(), rel=1e-12)
    assert Segments([0], [1.0], 10**9, shift=1.0).heads()[0][-1] == 2**17 - 1


def test_probabilities_may_be_as_small_as_single_precision_holds():
    segments = Segments([0, 1], [1.0, 1.01e-37], 2)
    assert np.float32(segments.prob(1)) > np.finfo(np.float32).tiny
    assert Segments([0], [1.0], 2**53, shift=1e-290).prob(2**53 - 1) > 1e-19


def test_lists_of_all_ranks_are_made_up_to_a_billion():
    with pytest.raises(PopSamplerError, match=r"length of a list.*1000000000.*prob\(ranks\)"):
        Segments([0], [1.0], 2**40).dense()


def test_no_head_leaves_a_rest_that_is_never_drawn():
    segments = Segments([0, 1, 2], [0.5, 0.5 - 1e-12, 1e-12], 10)
    assert segments.heads()[0].tolist() == [0, 1]


def test_numbers_of_any_kind_become_the_arrays_own():
    segments = Segments([0.0, 1.0], [1 - 2**-3, 2**-3], 2)
    assert segments.starts.dtype == np.int64
    assert Segments([0], [1], 3).masses.dtype == np.float64
    assert segments.prob([0, 1]).tolist() == [0.875, 0.125]


def test_arrays_cannot_be_changed():
    starts = np.array([0, 1])
    segments = Segments(starts, np.array([0.7, 0.3]), 2)
    starts[1] = 9
    assert segments.starts.tolist() == [0, 1]
    with pytest.raises(ValueError, match="read-only"):
        segments.masses[0] = 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], 1), "starts of shape"),
        (([0, 1], [1.0], 2), "starts of shape"),
        (([[0]], [[1.0]], 1), "starts of shape"),
        (([1], [1.0], 2), "do not run from 0"),
        (([0, 0], [0.5, 0.5], 2), "do not run from 0"),
        (([0, 2], [0.5, 0.5], 2), "to below 2"),
        (([0], [1.0], 0), "at least one item"),
        (([0], [1.0], 2**53 + 1), "size of a catalog"),
        (([0], [1.0], "7"), "size of a catalog"),
        (([0, 0.5], [0.5, 0.5], 2), "starts to be whole numbers"),
        (([0, "1"], [0.5, 0.5], 2), "starts to be whole numbers"),
        (([0, 2.0**63], [0.5, 0.5], 2), "starts to be whole numbers"),
        (([0, [1]], [0.5, 0.5], 2), "starts to be whole numbers"),
        ((None, [0.5, 0.5], 2), "starts to be whole numbers"),
        (([0, 1], ["0.5", "0.5"], 2), "masses to be numbers"),
        (([0, 1], [1.0, 0.0], 2), "1e-37 or more.*Received: 0 for the last of 2"),
        (([0, 1], [1.0, 9.9e-38], 2), "1e-37 or more.*Received: 9.9e-38 for the last of 2"),
        (([0, 1], [1.0, 1e-30], 2**30), "1e-37 or more.*flatter"),
        (([0], [1.0], 10**9, 1e-310), "1e-37 or more"),
        (([0, 1], [1.0, -0.1], 2), "not all positive"),
        (([0], [float("nan")], 2), "not all positive"),
        (([0], [float("inf")], 2), "not all positive"),
        (([0, 1], [0.3, 0.7], 2), "segment 1 likelier"),
        (([0, 1], [0.6, 0.5], 2), "sum to 1.1"),
        (([0], [0.5], 2), "sum to 0.5"),
        (([0, 1, 3], [0.5, 0.2, 0.3], 4), "segment 2 likelier"),
        (([0, 1, 2], [1 - 2.1e-6, 1e-6, 1.1e-6], 3), "segment 2 likelier"),
        (([0], [1.0], 2, 0.0), "shift 0.0 of 1"),
        (([0], [1.0], 2, -1.0), "shift -1.0 of 1"),
        (([0], [1.0], 2, float("inf")), "shift inf of 1"),
        (([0, 1], [0.5, 0.5], 2, 1.0), "shift 1.0 of 2"),
        (([0], [1.0], 2, "1"), "shift '1' of 1"),
    ],
)
def test_segments_that_are_not_a_distribution_are_refused(arguments, message):
    with pytest.raises(PopSamplerError, match=message):
        Segments(*arguments)
