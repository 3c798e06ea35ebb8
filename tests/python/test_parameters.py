"""Parameters by name."""

import numpy as np
import pytest

import nablabragg as nb


def test_parameters_are_reached_by_name_in_field_units(small):
    assert np.array_equal(small["cell"], [50, 60, 70, 85, 95, 105])
    assert np.array_equal(small["misset"], [10, 20, 30])
    assert small["wavelength"] == 1.1
    assert small["distance"] == 90
    assert small["beam_center"].shape == (2,)
    assert np.array_equal(small["F"], small.structure_factors.F)
    assert set(small.units) == set(small.parameters)
    assert small.units["cell"] == ("A", "A", "A", "deg", "deg", "deg")
    for name, value in small.parameters.items():
        unit = small.units[name]
        assert isinstance(unit, str) if np.ndim(value) == 0 else len(unit) == np.size(value)
    assert "distance" in small and "F" in small and "colour" not in small


def test_every_parameter_can_be_replaced_by_itself(small):
    for name, value in small.parameters.items():
        again = small.replace(**{name: value})
        assert np.allclose(again[name], value, rtol=1e-12), name


def test_replace_gives_a_changed_copy(small):
    far = small.replace(distance=91.2, cell=(51, 61, 71, 85, 95, 105))
    assert far["distance"] == 91.2 and far["cell"][0] == 51
    assert small["distance"] == 90
    assert far.detector.distance == 91.2


def test_replace_takes_parts_then_parameters(small):
    other = small.replace(distance=120, detector=nb.Detector(pixels=8, pixel_size=2))
    assert other.shape == (8, 8) and other["distance"] == 120


def test_replace_takes_amplitudes_on_the_table_s_box(small):
    twice = small.replace(F=2 * small["F"])
    assert twice.structure_factors.min == small.structure_factors.min
    assert np.array_equal(twice["F"], 2 * small["F"])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"colour": 3}, ["colour"]),
        ({"cell": (1, 2, 3)}, ["cell", "(6,)", "(3,)"]),
        ({"distance": (1, 2)}, ["distance", "()", "(2,)"]),
        ({"F": np.ones((2, 2, 2))}, ["F", "(21, 21, 21)"]),
        ({"distance": -1}, ["distance", "positive"]),
        ({"crystal": nb.Crystal()}, ["unit cell"]),
    ],
)
def test_wrong_changes_are_usage_errors(small, changes, words):
    with pytest.raises(nb.UsageError) as caught:
        small.replace(**changes)
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_name_is_a_usage_error(small):
    with pytest.raises(nb.UsageError, match="colour"):
        small["colour"]
    with pytest.raises(nb.UsageError, match="no table"):
        small.replace(structure_factors=100)["F"]


def test_parameters_are_named_as_the_fields_of_the_parts():
    full = nb.Experiment(
        crystal=nb.Crystal(
            cell=(50, 60, 70, 85, 95, 105), shape="gauss", mosaic_spread=0.5, mosaic_domains=3
        ),
        beam=nb.Beam(dispersion=(1, 3), horizontal_divergence=(1, 3), vertical_divergence=(1, 3)),
        detector=nb.Detector(
            pixels=8, pixel_size=2, convention="custom", fast_axis=(0, 0, 1), slow_axis=(0, -1, 0),
            normal=(1, 0, 0), sensor_thickness=100, attenuation_depth=200,
        ),
        scan=nb.Scan(phi=1, oscillation=(1, 3)),
        structure_factors=100,
        water=1,
    )  # fmt: skip
    fields = set(nb.Experiment.fields)
    for part in ("crystal", "beam", "detector", "scan", "structure_factors"):
        names = getattr(full, part).fields
        fields |= {name for name in names} | {f"{part}_{name}" for name in names}
    assert len(full.parameters) > 20
    assert set(full.parameters) <= fields
    for name in ("cell", "fudge", "dispersion", "pixel_size", "oscillation", "water", "default_F"):
        assert name in full
