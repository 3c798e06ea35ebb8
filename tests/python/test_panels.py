"""Detectors of several panels."""

import numpy as np
import pytest

import nablabragg as nb


def placed(origin, pixels=(40, 48), **more):
    """A panel of the custom convention: fast along z, slow along -y."""
    return nb.Detector(
        convention="custom",
        pixels=pixels,
        pixel_size=1.0,
        origin=origin,
        fast_axis=(0, 0, 1),
        slow_axis=(0, -1, 0),
        **more,
    )


@pytest.fixture
def two(small):
    return small.replace(
        detector=placed((0.09, 0.03, -0.045), name="left", group="all", shift=0, turn=0),
        more_panels=[
            nb.FurtherPanel(detector=placed((0.09, 0.03, 0.0), group="all", shift=0, turn=0))
        ],
        detector_groups=[nb.DetectorGroup(name="all", origin=(90, 0, 0), fast_axis=(0, 0, 1), slow_axis=(0, -1, 0))],
    )


def test_the_image_of_panels_of_one_size_has_an_axis_for_them(small, two):
    image = nb.simulate(two)
    assert two.shape == image.shape == (2, 48, 40)
    assert two.panel_shapes == ((48, 40), (48, 40))
    for number, panel in enumerate((two.detector, two.more_panels[0].detector)):
        alone = small.replace(detector=panel.replace(group=""))
        assert np.array_equal(image[number], nb.simulate(alone))


def test_the_image_of_panels_of_different_sizes_is_one_panel_behind_the_other(small, two):
    e = two.replace(more_panels=[nb.FurtherPanel(detector=placed((0.09, 0.03, 0.0), (30, 20)))])
    assert e.panel_shapes == ((48, 40), (20, 30))
    image = nb.simulate(e)
    assert image.shape == e.shape == (48 * 40 + 20 * 30,)
    second = nb.simulate(small.replace(detector=e.more_panels[0].detector))
    assert np.array_equal(image[48 * 40 :].reshape(20, 30), second)


@pytest.mark.parametrize("alike", [True, False])
def test_pixels_of_panels_are_listed_with_their_panel(two, alike):
    if not alike:
        two = two.replace(more_panels=[nb.FurtherPanel(detector=placed((0.09, 0.03, 0), (30, 20)))])
    image = nb.simulate(two, dtype="float64")
    assert nb.simulate(two, dtype="float64", pixels=[(1, 7, 5), (0, 3, 2)]) == pytest.approx(
        [image[1, 7, 5], image[0, 3, 2]] if alike else [image[48 * 40 + 7 * 30 + 5], image[3 * 40 + 2]],
        rel=1e-12,
    )
    bright = image > np.quantile(image, 0.9)
    assert nb.simulate(two, dtype="float64", pixels=bright) == pytest.approx(image[bright], rel=1e-12)
    with pytest.raises(nb.UsageError, match=r"\(panel, slow, fast\)"):
        nb.simulate(two, pixels=[(3, 2)])


def test_panels_are_left_out_where_their_region_holds_no_pixels(two):
    whole = nb.simulate(two, dtype="float64")
    part = two.replace(
        sampling=two.sampling.replace(roi=nb.no_pixels),
        more_panels=[two.more_panels[0].replace(roi=(3, 20, 5, 30))],
    )
    image = nb.simulate(part, dtype="float64")
    assert not image[0].any()
    assert np.array_equal(image[1, 5:31, 3:21], whole[1, 5:31, 3:21])
    assert image.sum() == pytest.approx(image[1, 5:31, 3:21].sum())
    counts = nb.count_photons(part, image.astype("float32"), seed=1)
    assert (counts[0] == -2).all()
    with pytest.raises(nb.UsageError, match="hold no pixel of any panel"):
        nb.simulate(part.replace(more_panels=[two.more_panels[0].replace(roi=nb.no_pixels)]))


def test_groups_and_panels_have_gradients(two):
    weights = np.random.default_rng(3).uniform(-1, 1, two.shape)
    _, gradient = nb.value_and_gradient(two, weights)
    step = 1e-4
    for name in ("panel[0].shift", "panel[1].rotation", "group[all].shift", "group[all].rotation"):
        for axis in range(3):
            there = np.zeros(3)
            there[axis] = step
            values = [
                np.sum(weights * nb.simulate(two.replace(**{name: s * there}), dtype="float64"))
                for s in (2, 1, -1, -2)
            ]
            slope = (8 * (values[1] - values[2]) - (values[0] - values[3])) / (12 * step)
            assert gradient[name][axis] == pytest.approx(slope, rel=1e-5, abs=1e-6 * abs(values[0])), name
    assert two.units["group[all].rotation"] == ("deg", "deg", "deg")


def test_panels_survive_dictionaries_and_json(two):
    masked = two.replace(
        more_panels=[two.more_panels[0].replace(mask=np.arange(48 * 40).reshape(48, 40) % 5 > 0)],
        structure_factors=30,
    )
    assert nb.from_dict(nb.to_dict(masked)) == masked
    assert nb.Experiment.from_json(masked.to_json()) == masked
    assert np.array_equal(nb.simulate(nb.from_dict(nb.to_dict(masked))), nb.simulate(masked))


def test_a_panel_in_a_group_that_is_not_there_is_refused(two):
    with pytest.raises(nb.UsageError, match="there is no group 'q9' of panels; there are all"):
        two.replace(detector=two.detector.replace(group="q9"))
    with pytest.raises(TypeError, match="more_panels needs a FurtherPanel"):
        two.replace(more_panels=[two.detector])
