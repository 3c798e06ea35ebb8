"""Diffuse scattering from Python."""

import json

import numpy as np
import pytest

import nablabragg as nb


def crystal(**fields):
    return nb.Crystal(cell=(20, 22, 25, 90, 90, 90), cells=5, misset=(10, 20, 30), **fields)


def model(**fields):
    return nb.Experiment(
        crystal=crystal(**fields),
        detector=nb.Detector(pixels=24, pixel_size=4, distance=60),
        sampling=nb.Sampling(oversample=1),
        structure_factors=100,
    )


MOVING = {"diffuse_sigma": 0.4, "diffuse_gamma": (20, 15, 12)}


def test_light_between_the_spots_grows_with_the_number_of_cells():
    one, both = model(**MOVING), model(**MOVING, blocks=3)
    assert one.crystal.diffuse_sigma == (0.4, 0.4, 0.4)
    assert nb.simulate(both, dtype="float64") == pytest.approx(3 * nb.simulate(one, dtype="float64"))
    assert nb.simulate(one).sum() > 0


def test_derivatives_are_those_of_differences():
    e = model(**MOVING)
    weights = np.random.default_rng(3).normal(size=(24, 24))
    _, gradient = nb.value_and_gradient(e, weights, dtype="float64")

    def loss(**fields):
        return (weights * nb.simulate(model(**MOVING | fields), dtype="float64")).sum()

    def sigma(x):
        return loss(diffuse_sigma=(0.4, x, 0.4))

    def gamma(x):
        return loss(diffuse_gamma=(20, 15, x))

    for got, f, at in ((gradient["diffuse_sigma"][1], sigma, 0.4), (gradient["diffuse_gamma"][2], gamma, 12)):
        step = 1e-4 * at
        assert got == pytest.approx((f(at + step) - f(at - step)) / (2 * step), rel=1e-5)


def test_motions_come_back_from_dictionaries_and_json():
    e = model(**MOVING, diffuse_motion="rigid", diffuse_stencil=2, diffuse_error=0.01)
    assert e.crystal.diffuse_error == 0.01
    assert nb.Experiment.from_json(e.to_json()) == e
    assert json.loads(e.to_json())["crystal"]["diffuse_motion"] == "rigid"
    assert nb.from_dict(nb.to_dict(e)) == e


def test_what_is_no_motion_is_answered_with_a_sentence():
    with pytest.raises(nb.UsageError, match="need correlation lengths along all axes"):
        nb.simulate(model(diffuse_sigma=0.4))
