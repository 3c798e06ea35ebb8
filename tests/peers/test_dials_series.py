"""A sweep of one command through DIALS: what it integrates is what the truth beside the images says."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

flex = pytest.importorskip("dials.array_family.flex", reason="DIALS is not installed")
from dxtbx.model.experiment_list import ExperimentListFactory  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("NABLA_PROGRAM", "")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="NABLA_PROGRAM does not name the program that the tests run")
CELL = (50.84, 42.77, 28.95, 90, 90, 90)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    ubiquitin = SOURCE / "examples" / "ubiquitin"

    def run(*words):
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])

    run(PROGRAM, "fcalc", ubiquitin / "1ubq.pdb", "-dmin", "1.6", "-o", "ubiquitin.hkl")
    model = (
        f"-quiet -corrected -hkl ubiquitin.hkl -mat {ubiquitin / 'ubiquitin.mat'} -misset 10 20 30 -N 30 -gauss_xtal "
        "-mosaic 0.1 -mosaic_model gaussian -lambda 1 -detector EIGER2-1M -distance 100 -water 0.25 -fluence 5e25 "
        "-phi 0 -osc 0.5 -images 30 -seed 1"
    )
    run(PROGRAM, *model.split(), "-o", "sweep.nxs", "-o", "sweep.expt", "-o", "truth.refl")
    run("dials.import", "sweep.nxs")
    run("dials.find_spots", "imported.expt", "nproc=1")
    run("dials.index", "imported.expt", "strong.refl", "space_group=P222")
    run("dials.refine", "indexed.expt", "indexed.refl")
    run("dials.integrate", "refined.expt", "refined.refl", "nproc=1")
    return folder


def test_dxtbx_reads_the_experiment_beside_the_images(folder):
    experiment = ExperimentListFactory.from_json_file(str(folder / "sweep.expt"), check_format=True)[0]
    assert experiment.scan.get_image_range() == (1, 30)
    assert experiment.scan.get_oscillation() == pytest.approx((0, 0.5))
    assert len(experiment.imageset) == 30
    assert experiment.crystal.get_unit_cell().parameters() == pytest.approx(CELL, abs=2e-4)
    assert json.loads((folder / "sweep.expt").read_text())["imageset"][0]["template"] == "sweep.nxs"


def test_dials_finds_the_cell_that_the_sweep_was_made_from(folder):
    found = ExperimentListFactory.from_json_file(str(folder / "refined.expt"), check_format=False)[0]
    assert sorted(found.crystal.get_unit_cell().parameters()[:3]) == pytest.approx(sorted(CELL[:3]), rel=3e-4)


def test_dials_integrates_what_the_true_reflections_say(folder):
    truth = flex.reflection_table.from_file(str(folder / "truth.refl"))
    found = flex.reflection_table.from_file(str(folder / "integrated.refl"))
    found = found.select(found["partiality"] > 0.99)
    true = np.array(truth["xyzobs.px.value"])
    seen = np.array(found["xyzobs.px.value"])
    photons = np.array(truth["intensity.sum.value"])
    integrated = np.array(found["intensity.sum.value"])
    ratios, apart, frames = [], [], []
    for place, intensity in zip(seen, integrated):
        off = true - place
        near = np.flatnonzero((np.abs(off[:, :2]).max(axis=1) < 2) & (np.abs(off[:, 2]) < 1.5))
        if len(near) != 1 or intensity < 500:
            continue
        at = near[0]
        ratios.append(intensity / photons[at])
        apart.append(np.hypot(*off[at, :2]))
        frames.append(off[at, 2])
    assert len(ratios) > 500
    assert np.median(ratios) == pytest.approx(1, abs=0.005)
    assert np.percentile(ratios, 5) > 0.9 and np.percentile(ratios, 95) < 1.1
    assert np.median(apart) < 0.1
    assert abs(np.median(frames)) < 0.01
