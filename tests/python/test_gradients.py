"""Derivatives, against each other and against differences of images."""

import time

import numpy as np
import pytest

import nablabragg as nb


def difference(experiment, name, index, step, pixels):
    """d(image)/d(one number), from four images (the error is of the step's fourth power)."""
    base = np.array(experiment[name], float)

    def image(factor):
        value = base.copy()
        value[index] += factor * step
        return nb.simulate(
            experiment.replace(**{name: value}), dtype="float64", pixels=pixels
        )

    return (8 * (image(1) - image(-1)) - (image(2) - image(-2))) / (12 * step)


@pytest.fixture
def smooth():
    """Nothing jumps: the same F everywhere."""
    return nb.Experiment(
        crystal=nb.Crystal(
            cell=(50, 60, 70, 85, 95, 105), misset=(10, 20, 30), cells=(3, 4, 5),
            mosaic_spread=0.7, mosaic_domains=4,
        ),
        detector=nb.Detector(pixels=(12, 10), pixel_size=2.0, distance=90, rotation=(1, -2, 3)),
        beam=nb.Beam(wavelength=1.1, fluence=1e26, polarization=0.8),
        sampling=nb.Sampling(oversample=2),
        structure_factors=100,
    )  # fmt: skip


@pytest.fixture
def weights():
    return np.random.default_rng(3).normal(size=(10, 12))


# Rotations of mosaic domains are rounded to float32, so their differences need a large step.
STEPS = {
    "cell": 1e-4, "misset": 1e-4, "wavelength": 1e-6, "distance": 1e-3, "beam_center": 1e-3,
    "mosaic_spread": 1e-2, "fluence": 1e22,
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_gradients_are_those_of_differences(smooth, weights, name):
    value, gradient = nb.value_and_gradient(smooth, weights)
    image = nb.simulate(smooth, dtype="float64")
    assert value == pytest.approx((weights * image).sum(), rel=1e-12)
    slopes = np.asarray(gradient[name])
    assert slopes.shape == np.shape(smooth[name])
    for index in np.ndindex(slopes.shape):
        expected = (weights.ravel() * difference(smooth, name, index, STEPS[name],
                                                 np.ones(image.shape, bool))).sum()  # fmt: skip
        tolerance = 2e-5 if name == "mosaic_spread" else 1e-6
        assert slopes[index] == pytest.approx(expected, rel=tolerance, abs=1e-7 * abs(value)), index
        assert slopes[index] != 0


def test_a_loss_function_is_called_once_with_the_image(smooth):
    target = nb.simulate(smooth.replace(distance=91), dtype="float64")
    calls = []

    def loss(image):
        calls.append(image)
        return ((image - target) ** 2).sum(), 2 * (image - target)

    value, gradient = nb.value_and_gradient(smooth, loss)
    image = nb.simulate(smooth, dtype="float64")
    assert len(calls) == 1 and np.array_equal(calls[0], image)
    assert value == pytest.approx(((image - target) ** 2).sum())
    _, expected = nb.value_and_gradient(smooth, 2 * (image - target))
    assert gradient["distance"] == pytest.approx(expected["distance"], rel=1e-12)


def test_progress_of_a_loss_function_s_gradient_goes_to_1_once(smooth):
    shares = []
    nb.value_and_gradient(smooth, lambda image: (0.0, image), progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1 and shares.count(1) == 1


def test_ctrl_c_stops_a_gradient(smooth, ctrl_c):
    slow = smooth.replace(
        crystal=smooth.crystal.replace(mosaic_domains=500),
        detector=nb.Detector(pixels=1024),
        sampling=nb.Sampling(oversample=8),
    )
    ctrl_c(0.3)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        nb.value_and_gradient(slow, np.ones((1024, 1024)))
    assert time.monotonic() - start < 3


def test_what_a_loss_function_raises_comes_through(smooth):
    def loss(image):
        raise LookupError("no target")

    with pytest.raises(LookupError, match="no target"):
        nb.value_and_gradient(smooth, loss)
    with pytest.raises(TypeError, match="value, dvalue/dimage"):
        nb.value_and_gradient(smooth, lambda image: image.sum())


def test_pixels_restrict_a_gradient(smooth, weights):
    chosen = weights > 0.5
    value, gradient = nb.value_and_gradient(smooth, weights[chosen], pixels=chosen)
    expected_value, expected = nb.value_and_gradient(smooth, np.where(chosen, weights, 0))
    assert value == pytest.approx(expected_value, rel=1e-10)
    assert np.allclose(gradient["cell"], expected["cell"], rtol=1e-9)


def test_the_three_products_agree(smooth, weights):
    direction = {"cell": [1, -2, 3, 0.1, 0.2, -0.3], "distance": 2.0, "misset": [0.1, 0, -0.2]}
    gradient = nb.vjp(smooth, weights)
    change = nb.jvp(smooth, direction)
    assert change.shape == smooth.shape
    backwards = sum(np.sum(gradient[name] * np.asarray(d)) for name, d in direction.items())
    assert (weights * change).sum() == pytest.approx(backwards, rel=1e-9)

    table = nb.jacobian(smooth, list(direction))
    assert table.slopes.shape == (120, 10)
    assert table.columns[0] == "cell[0]" and table.columns[6] == "distance"
    rows = np.concatenate([np.ravel(d) for d in direction.values()])
    listed = tuple(table.pixels.T)
    assert np.allclose(
        table.slopes @ rows, change[listed], rtol=1e-8, atol=1e-8 * abs(change).max()
    )
    assert np.allclose(table.photons, nb.simulate(smooth, dtype="float64")[listed])


def test_amplitudes_have_a_gradient_on_their_box(small):
    weights = np.ones(small.shape)
    value, gradient = nb.value_and_gradient(small, weights)
    assert gradient["F"].shape == small["F"].shape
    # Photons are quadratic in F where the table is asked; default_F has the rest.
    share = (gradient["F"] * small["F"]).sum() + gradient["default_F"] * small["default_F"]
    assert share == pytest.approx(2 * value, rel=1e-9)
    bright = np.unravel_index(np.argmax(gradient["F"]), gradient["F"].shape)
    direction = np.zeros(small["F"].shape)
    direction[bright] = 1
    assert nb.jvp(small, {"F": direction}).sum() == pytest.approx(gradient["F"][bright], rel=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda e: nb.value_and_gradient(e, np.ones((3, 3))),
        lambda e: nb.vjp(e, np.ones(7), pixels=[(0, 0)]),
        lambda e: nb.jvp(e, {"colour": 1}),
        lambda e: nb.jacobian(e, ["colour"], [(0, 0)]),
        lambda e: nb.jacobian(e, "cell", [(0, 99)]),
    ],
)
def test_wrong_shapes_and_names_are_usage_errors(smooth, call):
    with pytest.raises(nb.UsageError):
        call(smooth)


def test_single_precision_gradients_are_near(smooth, weights):
    _, double = nb.value_and_gradient(smooth, weights)
    _, single = nb.value_and_gradient(smooth, weights, dtype="float32")
    scale = np.abs(double["cell"]).max()
    assert np.allclose(single["cell"], double["cell"], rtol=1e-3, atol=1e-4 * scale)


def test_the_reference_engine_is_honoured_by_gradients():
    experiment = nb.parse(
        "-corrected -cell 70 80 90 85 95 105 -misset 10 20 30 -default_F 100 -N 5 -lambda 1 "
        "-detpixels 32 -pixel 1 -oversample 1"
    )
    weights = 1 + np.sin(np.arange(32 * 32.0)).reshape(32, 32)
    seen = []

    def loss(photons):
        seen.append(photons.copy())
        return float((weights * photons).sum()), weights

    plain = nb.simulate(experiment, engine="reference")
    for dtype in ("float32", "float64"):
        value, gradient = nb.value_and_gradient(experiment, weights, dtype=dtype, engine="reference")
        called, same = nb.value_and_gradient(experiment, loss, dtype=dtype, engine="reference")
        assert np.array_equal(seen[-1].astype(np.float32), plain)
        assert value == pytest.approx(called, rel=1e-14)
        assert gradient["distance"] == same["distance"]
