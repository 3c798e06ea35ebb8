"""The orientations of the example's training set."""

import importlib.util
import pathlib

import numpy as np
import pytest

import nablabragg as nb

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def example():
    path = REPOSITORY / "examples" / "python" / "training_set.py"
    spec = importlib.util.spec_from_file_location("training_set", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rotation(misset):
    """About x, then y, then z [degree]."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(misset)), np.sin(np.radians(misset))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def test_orientations_are_uniform_over_all_rotations(example):
    random = np.random.default_rng(3)
    turned = np.array([rotation(example.random_misset(random)) for _ in range(20000)])
    # Each axis of the crystal is uniform on the sphere: means 0, mean squares 1/3, shares of caps.
    assert np.abs(turned.mean(axis=0)).max() < 0.02
    assert np.allclose((turned**2).mean(axis=0), 1 / 3, atol=0.01)
    for row in range(3):
        for column in range(3):
            assert (np.abs(turned[:, row, column]) > 0.9).mean() == pytest.approx(0.1, abs=0.01)
    # And so is the turn about it: angles of rotation have the density (1 - cos) / pi.
    trace = np.trace(turned, axis1=1, axis2=2)
    assert trace.mean() == pytest.approx(0, abs=0.03)
    assert (trace**2).mean() == pytest.approx(1, abs=0.05)


def test_the_rotation_is_the_program_s_own(example):
    misset = example.random_misset(np.random.default_rng(11))
    matrix = np.diag(1 / np.array([50.0, 60.0, 70.0]))
    common = dict(
        detector=nb.Detector(pixels=32, pixel_size=3, distance=60),
        sampling=nb.Sampling(oversample=1),
        structure_factors=100,
    )

    def image(**crystal):
        return nb.simulate(nb.Experiment(crystal=nb.Crystal(cells=5, **crystal), **common))

    turned = image(a_matrix=matrix, misset=misset)
    expected = image(a_matrix=rotation(misset) @ matrix)
    assert np.allclose(turned, expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert not np.allclose(turned, image(a_matrix=matrix), rtol=1e-2, atol=1e-2 * expected.max())


def test_an_image_comes_with_its_own_misset(example):
    experiment = nb.Experiment(
        crystal=nb.Crystal(cell=(50, 60, 70, 90, 90, 90), cells=5),
        beam=nb.Beam(fluence=1e28),
        detector=nb.Detector(pixels=16, pixel_size=3, distance=60),
        sampling=nb.Sampling(oversample=1),
        structure_factors=100,
    )
    images = example.training_set(experiment, seed=1)
    for _ in range(3):
        counts, misset = next(images)
        expected = nb.simulate(experiment.replace(misset=misset))
        assert counts.dtype == np.uint16
        assert np.abs(counts - expected).max() <= 6 * np.sqrt(expected.max() + 1)
