"""Numbers that no experiment has, units in the wrong place, and what an image would cost."""

import math

import numpy as np
import pytest

import nablabragg as nb


def experiment(**parts):
    crystal = {"cell": (40, 50, 60, 90, 90, 90), "cells": 5} | parts.pop("crystal", {})
    detector = {"pixels": 32, "pixel_size": 3} | parts.pop("detector", {})
    sampling = {"oversample": 1} | parts.pop("sampling", {})
    return nb.Experiment(
        crystal=nb.Crystal(**crystal),
        detector=nb.Detector(**detector),
        sampling=nb.Sampling(**sampling),
        structure_factors=100,
        **parts,
    )


@pytest.mark.parametrize(
    "parts",
    [
        {"crystal": {"misset": (math.nan, 0, 0)}},
        {"crystal": {"cells": -5}},
        {"crystal": {"mosaic_spread": -0.5}},
        {"crystal": {"fudge": 0}},
        {"crystal": {"blocks": math.inf}},
        {"detector": {"beam_center": (math.nan, 1)}},
        {"detector": {"sensor_thickness": math.nan}},
        {"detector": {"rotation": (0, math.inf, 0)}},
        {"water": -1},
    ],
)
def test_numbers_that_no_experiment_has_are_refused(parts):
    with pytest.raises(nb.UsageError):
        experiment(**parts)


@pytest.mark.parametrize(
    "field, value",
    [
        ("fluence", -1e20),
        ("fluence", math.nan),
        ("polarization", 95),
        ("wavelength", 1e-10),
        ("wavelength", 12398),
        ("exposure", -1),
        ("flux", math.nan),
    ],
)
def test_numbers_that_no_beam_has_are_refused_with_the_range(field, value):
    with pytest.raises(nb.UsageError, match="must"):
        experiment(beam=nb.Beam(**{field: value}))


def test_warnings_name_a_unit_that_is_most_likely_another():
    metres = experiment(detector={"pixel_size": 172e-6, "pixels": 8, "distance": 100})
    assert any("0.000172 mm; is it in metres?" in line for line in metres.warnings)
    pixels = experiment(detector={"beam_center": (1536, 1536)})
    assert any("are they in pixels?" in line for line in pixels.warnings)
    thin = experiment(detector={"sensor_thickness": 0.45, "attenuation_depth": 234})
    assert any("is it in millimetres?" in line for line in thin.warnings)


def test_images_that_would_take_longer_than_two_minutes_unasked_are_refused():
    large = nb.Experiment(
        crystal=nb.Crystal(cell=(78, 78, 37, 90, 90, 90), size=0.1),
        beam=nb.Beam(wavelength=0.9795),
        detector=nb.Detector(pixels=1024, pixel_size=0.172, distance=200),
        structure_factors=100,
    )
    with pytest.raises(nb.UsageError, match=r"2635-fold.*steps, about .*-oversample.*-blocks"):
        nb.simulate(large)
    with pytest.raises(nb.UsageError, match="2635-fold"):
        nb.value_and_gradient(large, np.ones((1024, 1024)))
    asked = large.replace(sampling=nb.Sampling(oversample=1))
    assert nb.simulate(asked).shape == (1024, 1024)
    blocks = large.replace(crystal=large.crystal.replace(block_size=0.0005))
    assert nb.simulate(blocks, pixels=[(0, 0), (5, 7)]).shape == (2,)


def test_blocks_multiply_the_spots_and_not_the_water():
    one, many = experiment(water=30), experiment(water=30, crystal={"blocks": 50})
    dry = nb.simulate(experiment(), dtype="float64")
    np.testing.assert_allclose(
        nb.simulate(many, dtype="float64"), nb.simulate(one, dtype="float64") + 49 * dry, rtol=1e-12
    )


def test_the_derivative_by_blocks_is_the_light_of_one():
    many = experiment(water=30, crystal={"blocks": 50})
    dry = nb.simulate(experiment(), dtype="float64")
    weights = np.linspace(0, 1, dry.size).reshape(dry.shape)
    result = nb.value_and_gradient(many, weights)
    assert "blocks" in many.units
    np.testing.assert_allclose(result[1]["blocks"], (weights * dry).sum(), rtol=1e-10)
