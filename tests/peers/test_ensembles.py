"""Ensembles beside h5py and DIALS' library (dxtbx): shards and the file of all shots are read as they were written."""

import hashlib
import os
import pathlib
import subprocess

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
PROGRAM = os.environ.get("NABLA_PROGRAM")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="NABLA_PROGRAM does not name the program")

DESCRIPTION = """
ensemble: 1
base: >
  -corrected -cell 50 60 70 90 90 90 -default_F 100 -N 10 -gauss_xtal -mosaic 0.3 -mosaic_domains 3 -lambda 1
  -distance 80 -detpixels 96 -pixel 0.5 -fluence 1e27 -oversample 1 -sensor Si 450
shots: 11
seed: 2
orientation: random
vary:
  wavelength: {normal: [1, 0.01]}
  cell[2]: {normal: [70, 0.2]}
output: {folder: shots, shots_per_shard: 4, reflections: true}
"""


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble")
    (folder / "e.yaml").write_text(DESCRIPTION)
    subprocess.run([PROGRAM, "ensemble", "e.yaml"], cwd=folder, check=True, capture_output=True)
    return folder / "shots"


def test_the_file_of_all_shows_what_the_shards_hold(shots):
    parts = [h5py.File(path) for path in sorted(shots.glob("shard_*.nxs"))]
    assert [len(part["entry/data/data"]) for part in parts] == [4, 4, 3]
    with h5py.File(shots / "all.nxs") as whole:
        compared = []

        def compare(name, data):
            if not isinstance(data, h5py.Dataset) or not data.is_virtual:
                return
            together = np.concatenate([part[name][...] for part in parts])
            assert np.array_equal(data[...], together), name
            assert all(not pathlib.Path(source.file_name).is_absolute() for source in data.virtual_sources())
            compared.append(name)

        whole.visititems(compare)
    assert {"entry/data/data", "shots/orientation", "shots/wavelength", "shots/cell", "shots/reflections/hkl"} <= set(compared)


def test_labels_agree_with_each_other(shots):
    with h5py.File(shots / "all.nxs") as whole:
        table = whole["shots"]
        turns, axes, cells = table["orientation"][...], table["real_axes"][...], table["cell"][...]
        assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-12)
        assert np.allclose(np.linalg.det(turns), 1)
        assert np.allclose(np.linalg.norm(axes, axis=2), cells[:, :3], atol=1e-9)
        assert table["cell"].attrs["units"] == b"A, A, A, deg, deg, deg"
        # Of one crystal, turned: what takes the axes of the first shot to those of another is the rotation between them.
        unit = axes / cells[:, :3, None]
        first, other = unit[0].T, unit[5].T
        between = other @ np.linalg.inv(first)
        expected = turns[5] @ turns[0].T
        assert np.isclose(np.trace(between), np.trace(expected), atol=1e-9)
        of_shot = table["reflections/shot"][...]
        assert np.all(np.diff(of_shot) >= 0)
        images = whole["entry/data/data"][...]
        found = 0
        for shot, (fast, slow), photons in zip(of_shot, table["reflections/centroid"][...], table["reflections/photons"][...]):
            if photons < 100:
                continue
            # The photons of pixels at most four away; neighbours may add some.
            box = images[shot, max(0, int(slow) - 4) : int(slow) + 5, max(0, int(fast) - 4) : int(fast) + 5]
            assert box.sum() > photons - 5 * np.sqrt(photons), (shot, fast, slow, photons)
            found += 1
        assert found > 20
        assert np.allclose(whole["entry/instrument/beam/incident_wavelength"][...], table["wavelength"][...])


def test_dxtbx_reads_shards_and_all(shots):
    factory = pytest.importorskip("dxtbx.model.experiment_list", reason="dxtbx is not installed").ExperimentListFactory
    with h5py.File(shots / "all.nxs") as whole:
        images, wavelengths = whole["entry/data/data"][...], whole["shots/wavelength"][...]
    for name, first, count in (("all.nxs", 0, 11), ("shard_00001.nxs", 4, 4)):
        experiments = factory.from_filenames([str(shots / name)])
        assert len(experiments) == count
        for i, experiment in enumerate(experiments):
            data = experiment.imageset.get_raw_data(0)[0].as_numpy_array()
            assert np.array_equal(data, images[first + i])
            assert np.isclose(experiment.beam.get_wavelength(), wavelengths[first + i])


def test_a_run_that_was_killed_leaves_the_same_numbers(shots, tmp_path):
    def hashes(folder):
        found = {}
        for path in sorted(folder.glob("shard_*.nxs")):
            with h5py.File(path) as file:
                file.visititems(
                    lambda name, data, path=path: found.__setitem__(
                        (path.name, name), hashlib.sha256(np.ascontiguousarray(data[...]).tobytes()).hexdigest()
                    )
                    if isinstance(data, h5py.Dataset) and data.dtype.kind in "iuf"
                    else None
                )
        return found

    (tmp_path / "e.yaml").write_text(DESCRIPTION)
    for seconds in (0.02, 0.05, 0.1):
        try:
            subprocess.run([PROGRAM, "ensemble", "e.yaml", "--threads", "1"], cwd=tmp_path, timeout=seconds, capture_output=True)
        except subprocess.TimeoutExpired:
            pass
    subprocess.run([PROGRAM, "ensemble", "e.yaml"], cwd=tmp_path, check=True, capture_output=True)
    assert hashes(tmp_path / "shots") == hashes(shots)


@pytest.mark.parametrize("channels", [None, 3])
def test_spectra_are_shown_where_shots_share_their_axis(tmp_path, channels):
    random = np.random.default_rng(4)
    weights = random.exponential(size=(6, 8))
    energy = np.linspace(9480, 9520, 8)
    with h5py.File(tmp_path / "spectra.h5", "w") as file:
        file["weights"], file["energy_eV"] = weights, energy
    text = DESCRIPTION.replace("-lambda 1\n", "\n").replace("  wavelength: {normal: [1, 0.01]}\n", "")
    thinned = f", channels: {channels}" if channels else ""
    text = text.replace("vary:", f"spectra: {{file: spectra.h5, rows: random, scale: absolute{thinned}}}\nvary:")
    (tmp_path / "e.yaml").write_text(text)
    subprocess.run([PROGRAM, "ensemble", "e.yaml"], cwd=tmp_path, check=True, capture_output=True)
    name = "entry/instrument/beam/incident_wavelength"
    with h5py.File(tmp_path / "shots/all.nxs") as whole, h5py.File(tmp_path / "shots/shard_00001.nxs") as part:
        rows = whole["shots/spectrum"][...]
        assert len(set(rows)) > 2 and np.array_equal(rows[4:8], part["shots/spectrum"][...])
        mean = 12398.419843320026 * (weights / energy).sum(axis=1) / weights.sum(axis=1)
        assert np.allclose(whole[name][...], mean[rows], rtol=1e-4 if channels else 1e-7)
        light = weights.sum(axis=1)
        assert np.allclose(whole["shots/relative_light"][...], light[rows] / light.mean())
        if channels:
            assert name + "_1Dspectrum" not in whole and part[name + "_1Dspectrum"].shape == (4, 3)
        else:
            order = np.argsort(energy)  # by falling wavelength
            assert np.allclose(whole[name + "_1Dspectrum"][...], 12398.419843320026 / energy[order])
            assert np.allclose(whole[name + "_1Dspectrum_weights"][...], weights[rows][:, order])
            assert whole[name].attrs["variant"].decode() == "incident_wavelength_1Dspectrum"


def test_shots_of_several_panels_are_read(tmp_path):
    dxtbx = pytest.importorskip("dxtbx.model.experiment_list", reason="dxtbx is not installed")
    text = """
ensemble: 1
base: >
  -corrected -detector CSPAD -distance 100 -cell 50 60 70 90 90 90 -default_F 100 -N 10 -gauss_xtal -lambda 1
  -fluence 1e27 -oversample 1 -thicksteps 1
shots: 3
orientation: random
output: {folder: shots, shots_per_shard: 2}
"""
    (tmp_path / "e.yaml").write_text(text)
    subprocess.run([PROGRAM, "ensemble", "e.yaml"], cwd=tmp_path, check=True, capture_output=True)
    experiments = dxtbx.ExperimentListFactory.from_filenames([str(tmp_path / "shots/all.nxs")])
    assert len(experiments) == 3 and len(experiments[0].detector) > 1
    panels = experiments[2].imageset.get_raw_data(0)
    with h5py.File(tmp_path / "shots/all.nxs") as whole:
        assert sum(len(panel.as_numpy_array()) for panel in panels) == whole["entry/data/data"].shape[1]
        assert np.array_equal(panels[0].as_numpy_array(), whole["entry/data/data"][2, : len(panels[0].as_numpy_array())])
