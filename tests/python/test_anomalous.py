"""Structure factors that follow the energy of the light."""

import numpy as np
import pytest

import nablabragg as nb

SIX_ATOMS = """\
CRYST1   20.000   24.000   30.000  90.00  90.00  90.00 P 1           1
HETATM    1 FE   FE  A   1       2.000   4.800   9.000  1.00 15.00          FE
HETATM    2 FE   FE  A   2      12.000   8.400  13.500  1.00 20.00          FE
HETATM    3  S   SUL A   3       3.000   6.720   9.900  1.00 18.00           S
HETATM    4  O   OXY A   4       8.000  16.800   3.000  1.00 25.00           O
HETATM    5  N   NIT A   5      15.400   2.880  17.400  1.00 22.00           N
HETATM    6  C   CAR A   6       6.200  12.480  25.200  1.00 20.00           C
END
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "six.pdb"
    path.write_text(SIX_ATOMS)
    return path


@pytest.fixture
def iron(tmp_path):
    path = tmp_path / "iron"
    path.write_text("7000 -3.8 0.5\n7110 -7 0.8\n7122 -7 3.6\n7300 -3.5 3.9\n")
    return path


def experiment(factors, cell, energy):
    return nb.Experiment(
        crystal=nb.Crystal(cell=cell, cells=12, misset=(12, 25, 37), shape="gauss"),
        beam=nb.Beam(wavelength=12398.42 / energy, fluence=1e26),
        detector=nb.Detector(distance=40, pixels=24, pixel_size=2.4),
        sampling=nb.Sampling(oversample=1),
        structure_factors=factors,
        mode="corrected",
    )


def test_f_of_a_model_follows_the_energy_of_the_light(model, iron):
    factors, cell = nb.calculate_structure_factors(
        model, 2.0, k_sol=0, anomalous={"Fe": iron}, interpolation="nearest"
    )
    images = [nb.simulate(experiment(factors, cell, energy)) for energy in (7105, 7140)]
    assert np.abs(np.asarray(images[0]) - np.asarray(images[1])).max() > 0


def test_energies_near_an_edge_are_a_warning_without_a_file(model, iron):
    with pytest.warns(nb.SimulationWarning, match="near the edge of Fe at 7112.0 eV"):
        nb.calculate_structure_factors(model, 4.0, anomalous=True, energies=[7100])
    nb.calculate_structure_factors(model, 4.0, anomalous={"Fe": iron}, energies=[7100])
    nb.calculate_structure_factors(model, 4.0, anomalous=True, energies=7400)
    with pytest.raises(nb.UsageError, match="give anomalous=True"):
        nb.calculate_structure_factors(model, 4.0, energies=7400)


def test_gradients_have_f_prime_and_f_double_prime_in_each_row(model, iron):
    factors, cell = nb.calculate_structure_factors(
        model, 2.0, k_sol=0, anomalous={"Fe": iron}, interpolation="nearest"
    )
    e = experiment(factors, cell, 7116)
    weights = np.linspace(-1, 1, 24 * 24).reshape(24, 24)
    _, gradient = nb.value_and_gradient(e, weights)
    for name in "f_prime[Fe]", "f_double_prime[Fe]":
        assert gradient[name].shape == (4,)
        assert (gradient[name][1:3] != 0).all() and (gradient[name][[0, 3]] == 0).all()
    assert gradient["f_prime[Fe]"][1] == pytest.approx(gradient["f_prime[Fe]"][2])
    # Forwards along the same names
    along = {"f_prime[Fe]": np.array([0, 0.3, -1, 0]), "f_double_prime[Fe]": np.array([0, 2, 0.5, 0]), "misset": (0.1, 0, 0)}
    backwards = sum((np.asarray(direction) * gradient[name]).sum() for name, direction in along.items())
    assert (weights * nb.jvp(e, along, dtype="float64")).sum() == pytest.approx(backwards, rel=1e-4)
    table = nb.jacobian(e, ["f_double_prime[Fe]", "distance", "f_prime[Fe]"])
    assert table.columns[2:6] == ("f_double_prime[Fe][2]", "f_double_prime[Fe][3]", "distance", "f_prime[Fe][0]")
    by_column = weights.ravel() @ table.slopes
    for name, columns in {"f_double_prime[Fe]": by_column[:4], "f_prime[Fe]": by_column[5:]}.items():
        assert columns == pytest.approx(gradient[name], rel=1e-4, abs=1e-9 * abs(gradient[name]).max())
    with pytest.raises((TypeError, nb.UsageError), match=r"f_prime\[Fe\]"):
        nb.jvp(e, {"f_prime[Fe]": (1, 2)})
    with pytest.raises(nb.UsageError, match="cannot be set or varied"):
        e.replace(F=1)
