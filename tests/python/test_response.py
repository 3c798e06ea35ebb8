"""What a detector records, in Python."""

import dataclasses

import numpy as np
import pytest

import nablabragg as nb


@pytest.fixture
def flat():
    """A panel and 100 photons in each of its pixels of 0.1 mm."""
    e = nb.Experiment(
        crystal=nb.Crystal(cell=(50, 50, 50, 90, 90, 90), cells=5),
        detector=nb.Detector(pixels=512, pixel_size=0.1, distance=100, gain=2),
        structure_factors=100,
    )
    return e, np.full(e.shape, 100.0)


def test_an_integrating_detector_has_the_variance_of_its_steps(flat):
    e, light = flat
    response = nb.DetectorResponse("integrating", readout_noise=3, photon_spread=0.4)
    counts = nb.count_photons(e, light, seed=1, response=response)
    assert counts.dtype == np.int32
    assert counts.mean() == pytest.approx(240, abs=5 * np.sqrt(473 / counts.size))
    assert counts.var() == pytest.approx(473.083333, rel=5 * np.sqrt(2 / counts.size))
    again = nb.count_photons(e, light, seed=1, response=response)
    assert (again == counts).all()


def test_a_pattern_is_the_same_in_all_images(flat):
    e, light = flat
    response = nb.DetectorResponse("integrating", gain_spread=0.2)
    a, b = (nb.count_photons(e, light, seed=seed, response=response) - 240.0 for seed in (1, 2))
    # Variance of the pattern: (0.2 * 200)**2 of the 2000 in all
    assert (a * b).mean() == pytest.approx(1600, rel=0.02)


def test_spread_light_is_linear_and_its_own_adjoint(flat):
    e, _ = flat
    random = np.random.default_rng(5)
    u, v = random.random(e.shape), random.random(e.shape)
    for shape in ("gauss", "fiber"):
        ku, kv = nb.spread_light(e, u, shape, fwhm=150), nb.spread_light(e, v, shape, fwhm=150)
        assert (ku * v).sum() == pytest.approx((u * kv).sum(), rel=1e-12)
        assert np.allclose(nb.spread_light(e, 2 * u + v, shape, fwhm=150), 2 * ku + kv, rtol=1e-12)
        assert ku.sum() < u.sum()


def test_expected_counts_are_the_mean_of_counts(flat):
    e, light = flat
    response = nb.DetectorResponse(
        "integrating", point_spread="gauss", fwhm=150, calibration=0.05, gain_spread=0.05, readout_noise=3
    )
    expected = nb.expected_counts(e, light, response)
    assert expected.dtype == np.float64 and expected.shape == e.shape
    counts = nb.count_photons(e, light, seed=3, response=response)
    # The patterns are the same; what is left is the noise of 100 photons
    assert (counts - expected).mean() == pytest.approx(0, abs=5 * np.sqrt(409 / counts.size))
    assert np.var(counts - expected) == pytest.approx(76, rel=0.05)
    with pytest.raises(nb.UsageError, match="shape"):
        nb.expected_counts(e, light[1:], response)


def test_gradients_go_through_a_response():
    e = nb.Experiment(
        crystal=nb.Crystal(cell=(70, 80, 90, 90, 90, 90), misset=(5, 6, 7), cells=5, shape="gauss"),
        detector=nb.Detector(pixels=40, pixel_size=0.4, distance=100, gain=2),
        beam=nb.Beam(flux=1e19, exposure=0.1, size=0.1),
        sampling=nb.Sampling(oversample=1),
        structure_factors=100,
    )
    response = nb.DetectorResponse(
        "integrating", point_spread="fiber", fwhm=500, calibration=0.05, gain_spread=0.05,
        photon_charge=20, dark_current=300,
    )  # fmt: skip
    target = nb.expected_counts(e, nb.simulate(e, dtype="float64"), response) * 1.01

    def loss(counts):
        return ((counts - target) ** 2).sum(), 2 * (counts - target)

    def value(e, response):
        return loss(nb.expected_counts(e, nb.simulate(e, dtype="float64"), response))[0]

    found, gradient = nb.value_and_gradient(e, loss, response=response)
    assert found == pytest.approx(value(e, response), rel=1e-9)
    step = 1e-5
    moved = [value(e.replace(distance=100 + s), response) for s in (-step, step)]
    assert gradient["distance"] == pytest.approx((moved[1] - moved[0]) / (2 * step), rel=1e-5)
    shifted = [
        value(e, dataclasses.replace(response, offset=response.offset + s)) for s in (-0.01, 0.01)
    ]
    assert gradient["response.offset"] == pytest.approx((shifted[1] - shifted[0]) / 0.02, rel=1e-6)
    darker = [
        value(e, dataclasses.replace(response, dark_current=response.dark_current + s)) for s in (-1, 1)
    ]
    assert gradient["response.dark_current"] == pytest.approx((darker[1] - darker[0]) / 2, rel=1e-6)
    assert gradient["response.gain"].shape == (1,)
    wide = [value(e, dataclasses.replace(response, fwhm=response.fwhm + s)) for s in (-2, -1, 1, 2)]
    assert gradient["response.fwhm"] == pytest.approx((wide[0] - 8 * wide[1] + 8 * wide[2] - wide[3]) / 12, rel=1e-6)
    counter = nb.DetectorResponse(point_spread="gauss", fwhm=300)
    _, of_counter = nb.value_and_gradient(e.replace(detector=e.detector.replace(gain=1)), loss, response=counter)
    assert [name for name in of_counter if name.startswith("response")] == ["response.fwhm"]
    # Weights are a function, too
    weights = 2 * (nb.expected_counts(e, nb.simulate(e, dtype="float64"), response) - target)
    _, same = nb.value_and_gradient(e, weights, response=response)
    assert same["distance"] == pytest.approx(gradient["distance"], rel=1e-9)
    with pytest.raises(nb.UsageError, match="a response is of whole images"):
        nb.value_and_gradient(e, loss, response=response, pixels=[(1, 2)])


def test_the_share_of_the_middle_pixel_is_that_of_the_closed_form(flat):
    e, light = flat
    light = np.zeros_like(light)
    light[256, 256] = 1
    assert nb.spread_light(e, light, "fiber", fwhm=150)[256, 256] == pytest.approx(0.132753563727, abs=1e-11)
    assert nb.spread_light(e, light, "gauss", fwhm=150)[256, 256] == pytest.approx(0.567511260680**2, abs=1e-11)


def test_a_series_has_the_response_of_its_detector(flat):
    e, _ = flat
    e = e.replace(detector=nb.Detector(pixels=40, pixel_size=0.1, distance=100), scan=nb.Scan(oscillation=0.5))
    response = nb.DetectorResponse("integrating", readout_noise=2, point_spread="gauss")
    series = nb.series(e, 2, seed=4, response=response)
    for i, image in enumerate(series):
        photons = nb.simulate(series.experiment(i))
        assert (image == nb.count_photons(series.experiment(i), photons, seed=series.seed(i), response=response)).all()
    with pytest.raises(nb.UsageError, match="needs a seed"):
        nb.series(e, 2, response=response)


def test_a_command_line_gives_the_gain_and_says_that_the_response_is_not_the_experiments():
    line = "-corrected -cell 50 -default_F 100 -detpixels 40 -response integrating -readout_noise 3 -gain 2"
    with pytest.warns(nb.SimulationWarning, match="-response, -readout_noise have no effect.*DetectorResponse"):
        e = nb.parse(line)
    assert e.detector.gain == 2


def test_maps_and_bad_pixels_are_those_of_the_experiments_pixels(flat):
    e, light = flat
    gains = np.ones(e.shape)
    gains[: e.shape[0] // 2] = 0.25
    response = nb.DetectorResponse("integrating", offset=0, gain_map=gains, dead_pixels=0.1, hot_pixels=0.01, bits=20)
    counts = nb.count_photons(e, light, seed=1, response=response)
    states = nb.pixel_states(e, response)
    assert states.shape == e.shape and states.dtype == np.uint8
    assert (counts[states == 1] == 0).all() and (counts[states == 2] == 2**20 - 1).all()
    good = np.where(states == 0, counts, 0)
    half = e.shape[0] // 2
    assert abs(good[:half].sum() / good[half:].sum() - 0.25) < 0.01
    assert abs((states == 1).mean() - 0.1) < 0.02
    with pytest.raises(nb.UsageError, match="gain_map"):
        nb.count_photons(e, light, seed=1, response=nb.DetectorResponse("integrating", gain_map=gains[:5]))
    with pytest.raises(nb.UsageError, match="a full well is integrating"):
        nb.pixel_states(e, nb.DetectorResponse(full_well=1e5))


def test_a_response_stands_beside_its_experiment_in_json(flat):
    e, light = flat
    gains, absorbed = np.full(e.shape, 0.5), np.linspace(0.5, 1, e.detector.pixels[0] ** 2).reshape(e.shape)
    counter = nb.DetectorResponse(
        "counting", point_spread="fiber", fwhm=75.5, flicker=0.01, calibration=0.02, calibration_seed=7,
        dead_pixels=0.001, hot_pixels=0.002, dead_time=150, paralysable=True, bits=20,
    )  # fmt: skip
    ccd = nb.DetectorResponse(
        "integrating", photon_spread=0.3, photon_charge=20, dark_current=5, full_well=1e5, gain_spread=0.03,
        readout_noise=3, offset=60, calibration_map=absorbed, gain_map=gains,
    )  # fmt: skip
    default = nb.DetectorResponse()
    for field in dataclasses.fields(nb.DetectorResponse):
        told = [r for r in (counter, ccd) if getattr(r, field.name) is not getattr(default, field.name)]
        assert told, f"{field.name} is in neither of these two"
    maps = {"calibration_map": absorbed, "gain_map": gains}
    one = e.replace(detector=e.detector.replace(gain=1))
    for response, given in ((counter, {}), (ccd, maps)):
        text = e.to_json(response=response)
        again = nb.DetectorResponse.from_json(text, **given)
        assert vars(again) == vars(response)
        assert nb.Experiment.from_json(text) == e
        same = [nb.count_photons(one, light, seed=1, response=r) for r in (response, again)]
        assert (same[0] == same[1]).all()
    assert nb.DetectorResponse.from_json(e.to_json()) is None
    text = e.to_json(response=ccd)
    with pytest.raises(nb.InputError, match="response.calibration_map is a map of 262144 pixels that is not stored"):
        nb.DetectorResponse.from_json(text, gain_map=gains)
    with pytest.raises(nb.InputError, match="other factors"):
        nb.DetectorResponse.from_json(text, calibration_map=absorbed, gain_map=gains + 0.1)
    with pytest.raises(nb.InputError, match="response.wide is no key"):
        nb.DetectorResponse.from_json(text.replace('"full_well"', '"wide"'), **maps)
    with pytest.raises(nb.UsageError, match="kind is 'counting' or 'integrating', not 'ccd'"):
        e.to_json(response=nb.DetectorResponse("ccd"))


def test_a_file_keeps_the_response_of_its_counts(flat, tmp_path):
    e, light = flat
    ccd = nb.DetectorResponse("integrating", readout_noise=2, offset=70)
    counts = nb.count_photons(e, light, seed=2, response=ccd)
    nb.write_image(tmp_path / "ccd.expt", e, response=ccd)
    assert '"pedestal": 70' in (tmp_path / "ccd.expt").read_text().replace("70.0", "70")
    nb.write_image(tmp_path / "ccd.img", e, counts, response=ccd)
    assert b"IMAGE_PEDESTAL=110;" in (tmp_path / "ccd.img").read_bytes()[:4096]
    with pytest.raises(nb.UsageError, match="CBF states no pedestal"):
        nb.write_image(tmp_path / "ccd.cbf", e, counts, response=ccd)
    with pytest.raises(nb.UsageError, match="a response is of counts"):
        nb.write_image(tmp_path / "ccd.img", e, light, response=ccd)


def test_what_is_no_detector_is_refused(flat):
    e, light = flat

    def refused(match, **steps):
        with pytest.raises(nb.UsageError, match=match):
            nb.count_photons(e, light, seed=1, response=nb.DetectorResponse(**steps))

    refused("kind is 'counting' or 'integrating', not 'ccd'", kind="ccd")
    refused("point_spread is 'gauss' or 'fiber', not 'round'", point_spread="round")
    refused("counts a photon once", kind="counting")
    refused("a detector with a dead time is counting", kind="integrating", dead_time=100)
    refused("flicker is 0 to 1, not 2", kind="integrating", flicker=2)
    refused("fwhm is the width of point_spread, and none is given", kind="integrating", fwhm=10)
    refused("a counting detector has no offset", kind="counting", offset=5)
    refused("paralysable is of a dead_time, and none is given", kind="counting", paralysable=True)
    with pytest.raises(TypeError, match="flicker needs a number"):
        nb.count_photons(e, light, seed=1, response=nb.DetectorResponse("integrating", flicker="much"))
    with pytest.raises(nb.UsageError, match="shape"):
        nb.spread_light(e, light[:5], "gauss")
