"""Beamstops, and beams that jitter, from Python."""

import pickle

import numpy as np
import pytest

import nablabragg as nb
from models import model


STOP = nb.Beamstop(distance=25, radius=3, offset=(0.5, -0.3), arm_width=1, arm_angle=100, transmission=0.1)


def test_a_beamstop_comes_back_from_dictionaries_json_and_pickles():
    e = model(beamstop=STOP, materials=nb.gas_in_beam(-5, 50))
    image = nb.simulate(e)
    again = nb.from_dict(nb.to_dict(e)), pickle.loads(pickle.dumps(e))
    for other in (*again, nb.Experiment.from_json(e.to_json())):
        assert other.beamstop == STOP
        assert np.array_equal(nb.simulate(other), image)


def test_a_beamstop_takes_light_away_and_has_derivatives():
    e = model(beamstop=STOP, water=100)
    lit, dark = (nb.simulate(x, dtype="float64") for x in (model(water=100), e))
    assert np.allclose(dark[16, 16] / lit[16, 16], 0.1)
    assert np.array_equal(dark[0], lit[0])
    value, gradient = nb.value_and_gradient(e, np.ones((32, 32)), dtype="float64")
    assert value == pytest.approx(dark.sum(), rel=1e-12)
    clear = nb.simulate(e.replace(beamstop=STOP.replace(transmission=1)), dtype="float64")
    assert gradient["beamstop_transmission"] == pytest.approx((clear - dark).sum() / 0.9, rel=1e-9)

    def total(radius):
        return nb.simulate(e.replace(beamstop=STOP.replace(radius=radius)), dtype="float64").sum()

    slope = (total(3 + 1e-4) - total(3 - 1e-4)) / 2e-4
    assert gradient["beamstop_radius"] == pytest.approx(slope, rel=1e-5)


def test_what_is_no_beamstop_is_answered_with_a_sentence():
    with pytest.raises(nb.UsageError, match="needs a place between sample and detector"):
        model(beamstop=nb.Beamstop(radius=1))
    with pytest.raises(nb.UsageError, match="the stop is to be before it"):
        nb.simulate(model(beamstop=nb.Beamstop(radius=1, distance=70)))


def test_a_beam_that_jitters_has_another_tilt_in_each_image_of_a_series():
    e = model()
    turns = nb.random_orientations(3, seed=1)
    shots = nb.series(e, orientations=turns, beam_jitter=(0.5, 9))
    tilts = [shots.experiment(i).beam.tilt for i in range(3)]
    assert len(set(tilts)) == 3 and 0 not in np.ravel(tilts)
    for i, image in enumerate(shots):
        assert np.array_equal(image, nb.simulate(shots.experiment(i)))
    assert tilts == [nb.series(e, orientations=turns, beam_jitter=(0.5, 9)).experiment(i).beam.tilt for i in range(3)]
    with pytest.raises(nb.UsageError, match="a whole number, its seed"):
        nb.series(e, orientations=turns, beam_jitter=(0.5, 0.5))
