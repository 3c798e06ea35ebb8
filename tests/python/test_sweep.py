"""The images of a crystal that turns."""

import numpy as np
import pytest

import nablabragg as nb


@pytest.fixture(scope="module", params=["closed", "sampled"])
def turning(request):
    return nb.Experiment(
        crystal=nb.Crystal(
            cell=(60, 70, 80, 90, 90, 90),
            misset=(10, 20, 30),
            cells=12,
            shape="gauss",
            mosaic_spread=0.3,
            mosaic_domains=3,
            mosaic_model="gaussian",
        ),
        detector=nb.Detector(pixels=(60, 50), pixel_size=0.4, distance=80),
        scan=nb.Scan(phi=10, oscillation=0.2),
        sampling=nb.Sampling(summation=request.param),
        structure_factors=100,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_are_those_of_the_turned_experiment(turning, dtype):
    alone = [
        nb.simulate(turning.replace(phi=10 + i * 0.2), dtype=dtype, threads=1) for i in range(4)
    ]
    whole = list(nb.sweep(turning, 4, dtype=dtype, threads=2))
    assert [image.dtype for image in whole] == [np.dtype(dtype)] * 4
    for image, expected in zip(whole, alone):
        assert np.array_equal(image, expected)
        assert image.flags.writeable
    for image, expected in zip(nb.sweep(turning, 4, reuse=True, dtype=dtype), alone):
        assert np.array_equal(image, expected)
        assert not image.flags.writeable
    for (indices, photons), expected in zip(nb.sweep(turning, 4, lit=True, dtype=dtype), alone):
        assert np.array_equal(indices, np.flatnonzero(expected))
        assert np.array_equal(photons, expected.ravel()[indices])


def test_a_reused_image_outlives_its_sweep(turning):
    image = next(nb.sweep(turning, 2, reuse=True))
    assert np.array_equal(image, nb.simulate(turning))


@pytest.mark.parametrize("images", [0, -1, 1.5, "three"])
def test_a_sweep_needs_a_number_of_images(turning, images):
    with pytest.raises((nb.UsageError, TypeError)):
        nb.sweep(turning, images)


def test_a_sweep_needs_an_oscillation(turning):
    with pytest.raises(nb.UsageError, match="-osc"):
        nb.sweep(turning.replace(oscillation=0), 2)


def test_progress_hears_of_the_whole_sweep_and_stops_it(turning):
    shares = []
    list(nb.sweep(turning, 4, progress=shares.append))
    assert shares == sorted(shares) and shares[-1] == 1
    with pytest.raises(nb.Cancelled):
        list(nb.sweep(turning, 4, progress=lambda share: False))
