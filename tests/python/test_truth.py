"""nb.pixel_truth: what the light of each pixel is made of."""

import nablabragg as nb
import numpy as np


def test_the_truth_of_pixels_is_told_by_name():
    e = nb.parse("-corrected -cell 60 70 80 90 90 90 -default_F 100 -N 5 -detpixels 24 -pixel 1 -distance 60 -water 100")
    truth = nb.pixel_truth(e, threads=1)
    assert list(truth.parts) == ["lattice", "water"]
    np.testing.assert_allclose(truth.photons, nb.simulate(e), rtol=1e-6)
    assert truth.hkl.shape == (24, 24, 3) and truth.has_hkl.dtype == bool
