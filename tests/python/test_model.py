"""Experiments as functions of a vector."""

import numpy as np
import pytest

import nablabragg as nb


@pytest.fixture
def mosaic(small):
    return small.replace(
        crystal=small.crystal.replace(mosaic_spread=0.5, mosaic_domains=3), structure_factors=100
    )


def test_a_frozen_model_has_no_free_parameters(mosaic):
    model = nb.ExperimentModel(mosaic, "frozen")
    assert model.names == () and model.start.shape == (0,)
    assert model.experiment([]) == mosaic
    value, gradient = model.value_and_gradient([], np.ones(mosaic.shape))
    assert value > 0 and gradient.shape == (0,)


def test_stage_a_begins_at_the_experiment(mosaic):
    model = nb.ExperimentModel(mosaic)
    assert set(model.names) == {
        "cell", "misset", "distance", "detector_rotation", "two_theta", "beam_center", "fluence",
        "mosaic_spread",
    }  # fmt: skip
    assert len(model.columns) == model.start.size == 18
    assert model.columns[:2] == ("cell[0]", "cell[1]") and "distance" in model.columns
    assert np.allclose(model.simulate(model.start), nb.simulate(mosaic), rtol=1e-5)


def test_lengths_change_by_factors_and_angles_within_bounds(mosaic):
    model = nb.ExperimentModel(mosaic)
    far = model.values(np.full(model.start.shape, 50.0))
    near = model.values(np.full(model.start.shape, np.log(2)))
    assert np.allclose(far["cell"][3:], mosaic["cell"][3:] + 10)
    assert np.allclose(far["misset"], mosaic["misset"] + 10)
    assert np.allclose(far["detector_rotation"], mosaic["detector_rotation"] + 5)
    assert far["two_theta"] == pytest.approx(mosaic["two_theta"] + 5)
    assert np.allclose(far["beam_center"], mosaic["beam_center"] + 5 * mosaic.detector.pixel_size)
    assert np.allclose(near["cell"][:3], 2 * mosaic["cell"][:3])
    for name in ("distance", "fluence", "mosaic_spread"):
        assert near[name] == pytest.approx(2 * mosaic[name])


def test_the_gradient_in_x_is_that_of_differences(mosaic):
    model = nb.ExperimentModel(mosaic)
    rng = np.random.default_rng(5)
    weights, x = rng.normal(size=mosaic.shape), rng.normal(scale=0.01, size=model.start.shape)
    _, gradient = model.value_and_gradient(x, weights)

    def value(x):
        return (weights * model.simulate(x, dtype="float64")).sum()

    for i, column in enumerate(model.columns):
        # Rotations of mosaic domains are rounded to float32.
        length, tolerance = (1e-2, 1e-4) if column == "mosaic_spread" else (1e-6, 1e-5)
        step = length * np.eye(x.size)[i]
        expected = (8 * (value(x + step) - value(x - step)) -
                    (value(x + 2 * step) - value(x - 2 * step))) / (12 * length)  # fmt: skip
        assert gradient[i] == pytest.approx(
            expected, rel=tolerance, abs=1e-6 * abs(gradient).max()
        ), column


def test_names_and_bounds_can_be_chosen(mosaic):
    assert nb.ExperimentModel(mosaic, ["cell", "wavelength"]).names == ("cell", "wavelength")
    model = nb.ExperimentModel(mosaic, {"misset": 0.5, "wavelength": "log"})
    assert np.allclose(model.values([50, -50, 0, 0])["misset"], mosaic["misset"] + [0.5, -0.5, 0])


@pytest.mark.parametrize(
    "free",
    [
        "stage_b",
        ["colour"],
        {"misset": -1},
        {"misset": "linear"},
        {"misset": [1, 2]},
        {"two_theta": "log"},
    ],
)
def test_wrong_freedom_is_a_usage_error(mosaic, free):
    with pytest.raises(nb.UsageError):
        nb.ExperimentModel(mosaic, free)


def test_an_experiment_without_mosaic_spread_has_none_in_stage_a(small):
    assert "mosaic_spread" not in nb.ExperimentModel(small).names


def test_stage_a_takes_what_the_experiment_has_instead(small):
    other = small.replace(
        detector=nb.Detector(
            pixels=(40, 48), pixel_size=1, convention="xds", close_distance=90, org=(20.5, 24.5)
        ),
        beam=nb.Beam(flux=1e12, size=0.05),
    )
    names = nb.ExperimentModel(other).names
    assert "close_distance" in names and "flux" in names
    assert "distance" not in names and "fluence" not in names
    assert "org" in names or "beam_center" in names


def test_a_vector_of_another_length_is_a_usage_error(mosaic):
    with pytest.raises(nb.UsageError, match="shape"):
        nb.ExperimentModel(mosaic).experiment(np.zeros(3))


def test_a_spectrum_of_a_file_or_of_rows_becomes_sources_along_the_beam(tmp_path):
    e = nb.Experiment(crystal=nb.Crystal(cell=(60, 60, 60, 90, 90, 90)), structure_factors=100)
    path = tmp_path / "shot.csv"
    path.write_text("energy_eV,intensity\n12300,1\n12400,2\n12600,5\n")
    of_file = nb.with_spectrum(e, path)
    of_rows = nb.with_spectrum(e, [[12.3, 1], [12.4, 2], [12.6, 5]], unit="keV")
    assert len(of_file.beam.sources) == 3
    assert np.allclose(of_file.beam.sources, of_rows.beam.sources, rtol=1e-14)
    wavelengths = 12398.42 / np.array([12300, 12400, 12600])
    assert np.allclose([s[4] for s in of_file.beam.sources], wavelengths)
    assert [s[3] for s in of_file.beam.sources] == [1, 2, 5]
    assert of_file.beam.wavelength == pytest.approx(np.average(wavelengths, weights=[1, 2, 5]))
    assert len(nb.with_spectrum(e, path, channels=1).beam.sources) == 1
    flags = "-corrected -cell 60 70 80 90 90 90 -misset 10 20 30 -N 5 -default_F 100 "
    flags += "-detpixels 20 -pixel 4 -oversample 1"
    for sensor in ("-sensor Si 450", "-sensor Si 450 -detector_abs 200", "-detector_thick 450 -detector_abs 200"):
        lit = nb.simulate(nb.parse(f"{flags} {sensor} -spectrum {path}"))
        stated = nb.parse(f"{flags} {sensor}")
        for start in (stated, stated.replace(fluence=stated["fluence"])):  # open, and settled
            assert np.allclose(nb.simulate(nb.with_spectrum(start, path)), lit, rtol=1e-5), sensor
    with pytest.raises(nb.UsageError, match="unit says what the first column is"):
        nb.with_spectrum(e, [[12.3, 1]])
    with pytest.raises(nb.UsageError, match=r"needs the shape \(n, 2\)"):
        nb.with_spectrum(e, [12.3, 1], unit="keV")
    with pytest.raises(nb.UsageError, match='unit is one of "eV", "keV", "A", not "nm"'):
        nb.with_spectrum(e, path, unit="nm")
    path.write_text("12300 1\n")
    with pytest.raises(nb.InputError, match="in eV, keV or Angstrom; unit says what its first column is"):
        nb.with_spectrum(e, path)
