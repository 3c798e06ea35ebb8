"""No field of an experiment takes NaN or infinity, however it comes in."""

import json
import math

import numpy as np
import pytest

import nablabragg as nb

PARTS = {
    "crystal": nb.Crystal, "beam": nb.Beam, "detector": nb.Detector, "scan": nb.Scan,
    "sampling": nb.Sampling, "structure_factors": nb.StructureFactors,
}  # fmt: skip


@pytest.fixture
def plain():
    return nb.Experiment(
        crystal=nb.Crystal(cell=(50.8, 42.8, 28.9, 90, 90, 90), misset=(10, 20, 30), cells=5),
        detector=nb.Detector(pixels=8, pixel_size=4, distance=100),
        sampling=nb.Sampling(oversample=1),
        structure_factors=100,
    )


def spoiled(value, wrong):
    """The value with each of its numbers replaced by `wrong`, one after the other."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, float):
        yield wrong
    if isinstance(value, nb.SampledRange):
        for name in ("range", "step"):
            yield value.replace(**{name: wrong})
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            for other in spoiled(item, wrong):
                yield (*value[:i], other, *value[i + 1 :])


# What fields hold that are open by default.
OPEN = {
    "a_matrix": ((0.02, 0.0, 0.0), (0.0, 0.02, 0.0), (0.0, 0.0, 0.02)), "mosaic_spread": 0.5,
    "direction": (1.0, 0.0, 0.0), "polarization_axis": (0.0, 0.0, 1.0), "flux": 1e12, "size": 0.1,
    "horizontal_divergence": nb.SampledRange(range=1.0, step=0.5),
    "vertical_divergence": nb.SampledRange(range=1.0, step=0.5),
    "dispersion": nb.SampledRange(range=1.0, step=0.5), "oscillation": nb.SampledRange(range=1.0, step=0.5),
    "sources": ((-1.0, 0.0, 0.0, 1.0, 1.0),), "close_distance": 100.0, "beam_center": (10.0, 10.0),
    "near_point": (10.0, 10.0), "org": (4.5, 4.5), "origin": (0.1, 0.0, 0.0),
    "fast_axis": (0.0, 0.0, 1.0), "slow_axis": (0.0, -1.0, 0.0), "normal": (1.0, 0.0, 0.0),
    "stated_cell": (50.0, 60.0, 70.0, 90.0, 90.0, 90.0), "stated_wavelength": 1.0,
    "two_theta_axis": (0.0, 1.0, 0.0), "attenuation_depth": 100.0, "spindle_axis": (0.0, 0.0, 1.0),
}  # fmt: skip


def wrong_parts(experiment):
    for part in PARTS:
        good = getattr(experiment, part)
        for name in good.fields:
            value = getattr(good, name)
            if part != "beam" or name != "size":
                value = OPEN.get(name, value) if value is None or value == () else value
            else:
                value = OPEN[name]
            for wrong in (math.nan, math.inf, -math.inf):
                if name == "attenuation_depth" and wrong == math.inf:
                    continue  # nothing is absorbed
                for other in spoiled(value, wrong):
                    yield part, name, other


def test_no_field_takes_nan_or_infinity(plain):
    seen = set()
    for part, name, value in wrong_parts(plain):
        seen.add((part, name))
        good = getattr(plain, part)
        with pytest.raises(nb.UsageError):
            plain.replace(**{part: good.replace(**{name: value})})
            pytest.fail(f"{part}.{name} = {value}")
    assert len(seen) > 36
    for wrong in (math.nan, math.inf, -math.inf):
        with pytest.raises(nb.UsageError):
            plain.replace(water=wrong)


def test_no_parameter_takes_nan_or_infinity(plain):
    for name, value in plain.parameters.items():
        for wrong in (math.nan, math.inf):
            spoilt = np.array(value, float)
            spoilt.flat[0] = wrong
            with pytest.raises(nb.UsageError):
                plain.replace(**{name: spoilt})
                pytest.fail(f"{name} = {spoilt}")


def test_neither_json_nor_a_dictionary_brings_nan_or_infinity_in(plain):
    text = json.loads(plain.to_json())
    text["beam"]["fluence"] = "inf"
    with pytest.raises(nb.Error):
        nb.Experiment.from_json(json.dumps(text))
    for wrong in (math.nan, "inf"):
        dictionary = nb.to_dict(plain)
        dictionary["beam"]["fluence"] = wrong
        with pytest.raises(nb.UsageError):
            nb.from_dict(dictionary)


@pytest.mark.parametrize("field, value", [("wavelength", 1e-10), ("wavelength", 12398), ("fluence", -1.0)])
def test_a_unit_that_cannot_be_meant_is_refused_with_a_hint(plain, field, value):
    hint = {1e-10: "metres", 12398: "keV", -1.0: "must not be negative"}[value]
    with pytest.raises(nb.UsageError, match=hint):
        plain.replace(beam=nb.Beam(**{field: value}))


@pytest.mark.parametrize(
    "part, field, value, hint",
    [
        ("crystal", "size", 1e-9, "is it in metres"),
        ("crystal", "size", 2e-6, "must hold one cell or more"),
        ("crystal", "block_size", 1e-9, "is it in metres"),
        ("crystal", "cell", (5.08, 4.28, 0.5, 90, 90, 90), "is it in nanometres"),
        ("beam", "size", 1e-8, "is it in metres"),
        ("detector", "pixel_size", 1e-320, "is it in metres"),
        ("detector", "distance", 1e30, "is it in micrometres"),
        ("scan", "phi", 1e7, "must be between"),
    ],
)  # fmt: skip
def test_a_length_that_cannot_be_meant_is_refused_as_on_the_command_line(plain, part, field, value, hint):
    with pytest.raises(nb.UsageError, match=hint):
        nb.simulate(plain.replace(**{part: getattr(plain, part).replace(**{field: value})}))


@pytest.mark.parametrize(
    "part, field, value, hint",
    [
        ("crystal", "size", 1e-5, "is it in metres"),
        ("crystal", "size", 20, "is it in micrometres"),
        ("crystal", "cell", (50.8, 42.8, 28.9, 1.5708, 1.5708, 1.5708), "is it in radians"),
        ("beam", "fluence", 1e10, "is it in photons/um"),
        ("detector", "distance", 0.1, "is it in metres"),
        ("detector", "attenuation_depth", 0.234, "is it in millimetres"),
        ("sampling", "dmin", 0.05, "is it in nanometres"),
    ],
)  # fmt: skip
def test_a_number_that_is_most_likely_in_another_unit_is_said(plain, part, field, value, hint):
    with pytest.warns(nb.SimulationWarning, match=hint):
        nb.simulate(plain.replace(**{part: getattr(plain, part).replace(**{field: value})}))


def test_what_contradicts_itself_is_refused_or_said(plain):
    along = nb.Beam(polarization=0.9, polarization_axis=(1, 0, 0), direction=(1, 0, 0))
    with pytest.raises(nb.UsageError, match="lies along the beam"):
        nb.simulate(plain.replace(beam=along))
    with pytest.warns(nb.SimulationWarning, match="the opposite signs"):
        nb.simulate(plain.replace(beam=nb.Beam(sources=[(10, 0, 0, 1, 1)])))
    with pytest.warns(nb.SimulationWarning, match="the image is made with theirs"):
        nb.simulate(plain.replace(beam=nb.Beam(sources=[(-10, 0, 0, 1, 1.3)])))
    skew = plain.detector.replace(convention="custom", fast_axis=(0, 0, 1), slow_axis=(0, -1, 1))
    with pytest.warns(nb.SimulationWarning, match="45 degrees apart"):
        nb.simulate(plain.replace(detector=skew))
