"""Several crystals in one beam, and blocks of many sizes."""

import json
import pickle

import numpy as np
import pytest

import nablabragg as nb


@pytest.fixture
def two(small):
    return small.replace(more_crystals=[nb.FurtherCrystal(misset=(-40, 15, 70), weight=0.4, cells=(4, 6, 5))])


def test_the_image_is_the_weighted_sum_of_the_images_of_each(small, two):
    alone = small.replace(crystal=small.crystal.replace(misset=(-40, 15, 70), cells=(4, 6, 5)), water=0)
    expected = nb.simulate(small, dtype="float64") + 0.4 * nb.simulate(alone, dtype="float64")
    assert np.allclose(nb.simulate(two, dtype="float64"), expected, rtol=1e-6, atol=0)


def test_they_come_through_dictionaries_json_and_pickle(two):
    factors = two.structure_factors
    for again in (
        nb.from_dict(json.loads(json.dumps(nb.to_dict(two)))),
        nb.Experiment.from_json(two.to_json(), structure_factors=factors if factors.F is not None else None),
        pickle.loads(pickle.dumps(two)),
    ):
        assert again == two
        assert again.more_crystals[0].cells == (4, 6, 5)
    assert "more_crystals=(FurtherCrystal(misset=" in repr(two)


def test_they_have_parameters_of_their_own(two):
    weights = np.sin(np.arange(np.prod(two.shape)).reshape(two.shape))
    value, gradient = nb.value_and_gradient(two, weights)
    assert gradient["crystal[1].misset"].shape == gradient["crystal[1].cells"].shape == (3,)
    changed = two.replace(more_crystals=[two.more_crystals[0].replace(weight=1.4)])
    more, _ = nb.value_and_gradient(changed, weights)
    assert gradient["crystal[1].weight"] == pytest.approx(more - value, rel=1e-4)


def test_a_wrong_one_is_refused(two):
    with pytest.raises(TypeError, match="more_crystals needs a FurtherCrystal"):
        two.replace(more_crystals=[two.crystal])
    with pytest.raises(nb.UsageError, match="crystal 1: the weight is -1"):
        two.replace(more_crystals=[nb.FurtherCrystal(weight=-1)])
    with pytest.raises(nb.UsageError, match="needs -corrected"):
        two.replace(mode="compat")


def test_blocks_of_many_sizes_make_brighter_peaks(small):
    one = small.replace(crystal=small.crystal.replace(cells=10), water=0)
    sizes = one.replace(crystal=one.crystal.replace(block_size_spread=0.2))
    fixed = sizes.replace(crystal=sizes.crystal.replace(block_size_fixed="cells"))
    assert nb.simulate(fixed).max() < nb.simulate(sizes).max()
    assert np.allclose(nb.simulate(sizes) / nb.simulate(fixed), 1.129996852, rtol=1e-3)
