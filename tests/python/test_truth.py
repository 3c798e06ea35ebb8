"""nb.pixel_truth: what the light of each pixel is made of."""

import nablabragg as nb
import numpy as np


def test_the_truth_of_pixels_is_told_by_name():
    e = nb.parse("-corrected -cell 60 70 80 90 90 90 -default_F 100 -N 5 -detpixels 24 -pixel 1 -distance 60 -water 100")
    truth = nb.pixel_truth(e, threads=1)
    assert list(truth.parts) == ["lattice", "water"]
    np.testing.assert_allclose(truth.photons, nb.simulate(e), rtol=1e-6)
    assert truth.hkl.shape == (24, 24, 3) and truth.has_hkl.dtype == bool


def test_the_truth_of_several_crystals_says_whose_reflection_it_is():
    e = nb.parse("-corrected -cell 60 70 80 90 90 90 -default_F 100 -N 5 -detpixels 24 -pixel 1 -distance 60 -misset 1 2 3")
    assert nb.pixel_truth(e).crystal is None
    truth = nb.pixel_truth(e.replace(more_crystals=[nb.FurtherCrystal(misset=(40, 5, 80))]))
    assert truth.crystal.shape == (24, 24) and truth.crystal.dtype == np.int32
    assert set(truth.crystal[truth.has_hkl]) == {0, 1}
