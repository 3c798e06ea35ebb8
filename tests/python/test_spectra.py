"""The spectra of shots, and series in their light."""

import numpy as np
import pytest

import nablabragg as nb

ENERGIES = np.array([12300.0, 12400.0, 12350.0, 12500.0])
WEIGHTS = np.array([[1.0, 0, 3, 2], [8, 1, 1, 0], [0, 0, 0, 3]])


@pytest.fixture(scope="module")
def still():
    return nb.Experiment(
        crystal=nb.Crystal(cell=(60, 70, 80, 90, 90, 90), misset=(10, 20, 30), cells=12, shape="gauss"),
        detector=nb.Detector(
            pixels=(60, 50), pixel_size=0.4, distance=80, sensor_material="Si", sensor_thickness=450
        ),
        beam=nb.Beam(fluence=1e24),
        structure_factors=100,
    )


@pytest.fixture
def shots():
    return nb.Spectra(ENERGIES, WEIGHTS, unit="eV")


def rows_of(i):
    return np.column_stack([ENERGIES, WEIGHTS[i]])


def test_a_shot_is_the_spectrum_of_its_row(shots):
    assert len(shots) == 3
    for i, weights in enumerate(WEIGHTS):
        shot = shots.shot(i)
        order = np.argsort(ENERGIES)
        lit = order[weights[order] > 0]
        assert np.array_equal(shot[:, 1], weights[lit])
        assert np.allclose(shot[:, 0], 12398.42 / ENERGIES[lit], rtol=1e-9)
    assert np.array_equal(shots.relative_light, [1, 1, 1])
    assert shots.moved_eV == 0
    absolute = nb.Spectra(ENERGIES, WEIGHTS, unit="eV", scale="absolute")
    assert np.allclose(absolute.relative_light, np.array([6, 10, 3]) / (19 / 3))
    thin = nb.Spectra(ENERGIES, WEIGHTS, unit="eV", channels=2)
    assert max(len(thin.shot(i)) for i in range(3)) == 2
    assert thin.moved_eV > 0
    assert repr(shots) == "<Spectra of 3 shots, 3 channels>"


def test_each_image_has_the_orientation_and_the_light_that_simulate_gives_it(still, shots):
    angles = nb.random_orientations(3, 5)
    series = nb.series(still, orientations=angles, spectra=shots)
    assert len(series) == 3
    mean = nb.with_spectrum(still, shots.mean(), unit="A").beam.wavelength
    images = list(series)
    for i, image in enumerate(images):
        e = series.experiment(i)
        assert np.array_equal(image, nb.simulate(e))
        assert e.beam.wavelength == mean
        assert e.crystal.misset == tuple(angles[i])
        # Of one shot alone
        turned = still.replace(crystal=still.crystal.replace(misset=tuple(angles[i])))
        alone = nb.with_spectrum(turned, rows_of(i), unit="eV")
        assert e.beam.sources == alone.beam.sources
        assert np.array_equal(image, nb.simulate(alone.replace(beam=alone.beam.replace(wavelength=mean))))
    counts = list(nb.series(still, orientations=angles, spectra=shots, seed=3, dtype="float64", threads=1))
    assert counts[1].dtype == np.int32 and counts[1].sum() > 0


def test_without_orientations_the_light_alone_differs(still, shots):
    series = nb.series(still, spectra=shots)
    images = list(series)
    assert len(images) == 3
    assert series.experiment(2).crystal.misset == still.crystal.misset
    assert np.array_equal(images[2], nb.simulate(series.experiment(2)))
    assert not np.array_equal(images[1], images[2])
    absolute = nb.Spectra(ENERGIES, WEIGHTS, unit="eV", scale="absolute")
    fluences = [nb.series(still, spectra=absolute).experiment(i).beam.fluence for i in range(3)]
    assert np.allclose(fluences, 1e24 * np.array([6, 10, 3]) / (19 / 3))


def test_a_scan_has_the_light_of_its_shots(still, shots):
    turning = still.replace(scan=nb.Scan(phi=10, oscillation=0.2))
    series = nb.series(turning, 3, spectra=shots)
    for i, image in enumerate(series):
        assert series.experiment(i).scan.phi == 10 + i * 0.2
        assert np.array_equal(image, nb.simulate(series.experiment(i)))


def test_a_matrix_keeps_its_lattice(still, shots):
    matrix = np.diag([1 / 60, 1 / 70, 1 / 80])
    e = still.replace(crystal=nb.Crystal(a_matrix=matrix, cells=12), beam=nb.Beam(wavelength=1))
    lit = nb.series(e, spectra=shots).experiment(0)
    assert np.allclose(np.array(lit.crystal.a_matrix) / lit.beam.wavelength, matrix, rtol=1e-12)


def test_npz_has_the_unit_in_the_name_of_its_axis(shots, tmp_path):
    np.savez(tmp_path / "ev.npz", weights=WEIGHTS, energy_eV=ENERGIES)
    by_columns = np.asfortranarray(WEIGHTS.astype(np.float32))
    np.savez_compressed(tmp_path / "kev.npz", spectra=by_columns, energy_keV=ENERGIES / 1000)
    np.savez(tmp_path / "one.npz", weights=WEIGHTS[0], wavelength_A=12398.42 / ENERGIES)
    for name in ("ev.npz", "kev.npz"):
        read = nb.read_spectra(tmp_path / name)
        assert len(read) == 3
        for i in range(3):
            assert np.allclose(read.shot(i), shots.shot(i), rtol=1e-9)
    one = nb.read_spectra(tmp_path / "one.npz", channels=2)
    assert len(one) == 1 and len(one.shot(0)) == 2


def test_npz_that_is_none_is_said(tmp_path):
    path = tmp_path / "x.npz"

    def problem(**arrays):
        np.savez(path, **arrays)
        with pytest.raises(nb.InputError) as raised:
            nb.read_spectra(path)
        assert str(raised.value).startswith(str(path))
        return str(raised.value)

    assert "does not say whether it is in eV, keV or Angstrom" in problem(weights=WEIGHTS, energy=ENERGIES)
    assert '"/energy_eV" and "/wavelength_A"' in problem(weights=WEIGHTS, energy_eV=ENERGIES, wavelength_A=ENERGIES)
    assert "neither 'weights' nor 'spectra'" in problem(energy_eV=ENERGIES)
    assert "turn rows and columns" in problem(weights=WEIGHTS.T, energy_eV=ENERGIES)
    assert "weights[1, 2] (row 2, channel 3) is -1" in problem(
        weights=np.array([[1.0, 1, 1, 1], [1, 1, -1, 1]]), energy_eV=ENERGIES
    )
    assert "which are no integers" in problem(weights=np.array([{}] * 4), energy_eV=ENERGIES)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(nb.InputError, match="cannot be opened as ZIP"):
        nb.read_spectra(path)


def test_what_are_no_spectra_is_said(still, shots, tmp_path):
    def problem(call, kind=nb.UsageError):
        with pytest.raises(kind) as raised:
            call()
        return str(raised.value)

    assert "unit is one of" in problem(lambda: nb.Spectra(ENERGIES, WEIGHTS, unit="nm"))
    assert "unit says" in problem(lambda: nb.Spectra(ENERGIES, WEIGHTS, unit=None))
    assert "(shots, channels), here (n, 4)" in problem(lambda: nb.Spectra(ENERGIES, WEIGHTS[:, 1:], unit="eV"))
    assert "'relative' or 'absolute'" in problem(lambda: nb.Spectra(ENERGIES, WEIGHTS, unit="eV", scale="x"))
    dark = WEIGHTS.copy()
    dark[1] = 0
    assert "weights[1] (row 2)" in problem(lambda: nb.Spectra(ENERGIES, dark, unit="eV"))
    assert "spectra need" in problem(lambda: nb.series(still, spectra=WEIGHTS), TypeError)
    assert "3 spectra, and images is 2" in problem(lambda: nb.series(still, 2, spectra=shots))
    assert "3 spectra, and 2 images" in problem(
        lambda: nb.series(still, orientations=nb.random_orientations(2, 1), spectra=shots)
    )
    pink = still.replace(beam=nb.Beam(dispersion=(1, 3)))
    assert "dispersion" in problem(lambda: nb.series(pink, spectra=shots))
    assert "read_spectra" in problem(lambda: nb.parse("-corrected -cell 60 -default_F 1 -spectra x.h5"))
    with pytest.raises(nb.InputError, match="missing.h5"):
        nb.read_spectra(tmp_path / "missing.h5")


def test_an_nxmx_of_shots_holds_their_spectra(still, tmp_path):
    shots = nb.Spectra(ENERGIES, WEIGHTS, unit="eV", scale="absolute")
    angles = nb.random_orientations(3, 5)
    series = nb.series(still, orientations=angles, spectra=shots, seed=1)
    with nb.ImageWriter(tmp_path / "s.nxs", still, images=3, orientations=angles, spectra=shots) as file:
        for counts in series:
            file.add(counts)
    name = "/entry/instrument/beam/incident_wavelength_1Dspectrum_weights"
    again = nb.read_spectra(f"{tmp_path / 's.nxs'}:{name}", scale="absolute")
    assert np.array_equal(again.relative_light, shots.relative_light)
    for i in range(3):
        assert np.array_equal(again.shot(i), shots.shot(i))
    with pytest.raises(nb.InputError, match="incident_wavelength"):
        nb.read_spectra(f"{tmp_path / 's.nxs'}:/entry/instrument/beam/incident_wavelength", unit="A")


def test_the_truth_of_shots_has_their_wavelengths(still, shots, tmp_path):
    for spectra, options in ((shots, {}), (shots, {"wavelengths": [1, 1, 1]})):
        if options:
            with pytest.raises(nb.UsageError, match="leave wavelengths out"):
                nb.ImageWriter(tmp_path / "x.expt", still, images=3, spectra=spectra, **options)
    with pytest.raises(nb.UsageError, match="3 spectra, and images is 2"):
        nb.ImageWriter(tmp_path / "x.expt", still, images=2, spectra=shots)
    with nb.ImageWriter(tmp_path / "s.refl", still, images=3, spectra=shots) as file:
        for image in nb.series(still, spectra=shots):
            file.add(image)
    assert (tmp_path / "s.refl").stat().st_size > 1000


def test_spectra_without_a_unit_are_asked_for_it():
    with pytest.raises(nb.UsageError, match='unit says what the axis is: "eV", "keV" or "A"'):
        nb.Spectra([1, 1.01], [[1, 2]])
