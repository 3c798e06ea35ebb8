"""Several images, made while others are looked at."""

import itertools
import json
import subprocess
import threading
import time

import numpy as np
import pytest

import nablabragg as nb


@pytest.fixture(scope="module")
def turning():
    return nb.Experiment(
        crystal=nb.Crystal(
            cell=(60, 70, 80, 90, 90, 90),
            misset=(10, 20, 30),
            cells=12,
            shape="gauss",
            mosaic_spread=0.3,
            mosaic_domains=3,
        ),
        detector=nb.Detector(pixels=(60, 50), pixel_size=0.4, distance=80),
        beam=nb.Beam(fluence=1e24),
        scan=nb.Scan(phi=10, oscillation=0.2),
        structure_factors=100,
    )


@pytest.fixture(scope="module")
def still(turning):
    return turning.replace(scan=nb.Scan())


def test_a_scan_has_the_images_of_its_experiments(turning):
    series = nb.series(turning, 5)
    assert len(series) == 5
    for _ in range(2):  # it begins anew
        images = list(series)
        assert len(images) == 5
        for i, image in enumerate(images):
            assert np.array_equal(image, nb.simulate(series.experiment(i)))
            assert series.experiment(i).scan.phi == 10 + i * 0.2


def test_crystals_beside_the_first_turn_with_it(still):
    two = still.replace(more_crystals=[nb.FurtherCrystal(misset=(-40, 15, 70), weight=0.5)])
    stills = nb.series(two, orientations=[(0, 0, 0), (0, 0, 90)])
    turned = [stills.experiment(i).more_crystals[0].misset for i in range(2)]
    # The experiment has the first crystal in another orientation, and the second as far from it
    together = nb.series(two, orientations=[two.crystal.misset]).experiment(0)
    assert np.allclose(together.more_crystals[0].misset, (-40, 15, 70), atol=1e-12)
    # About z comes last
    assert np.allclose(np.subtract(turned[1], turned[0]) % 360, (0, 0, 90), atol=1e-9)
    assert np.array_equal(list(stills)[1], nb.simulate(stills.experiment(1)))


def test_stills_have_the_orientations_that_are_stated(still):
    turns = np.array([[[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.eye(3)])
    images = list(nb.series(still, orientations=turns))
    assert np.array_equal(images[0], nb.simulate(still.replace(misset=(0, 0, 90))))
    assert np.array_equal(images[1], nb.simulate(still.replace(misset=(0, 0, 0))))
    angles = nb.random_orientations(4, 5)
    assert angles.shape == (4, 3)
    assert np.array_equal(angles[:2], nb.random_orientations(2, 5))
    assert not np.array_equal(angles, nb.random_orientations(4, 6))
    for i, image in enumerate(nb.series(still, 3, orientations=angles)):
        assert np.array_equal(image, nb.simulate(still.replace(misset=tuple(angles[i]))))


def test_counts_have_the_noise_of_their_seed(turning):
    series = nb.series(turning, 3, seed=7)
    counts = list(series)
    assert series.seed(0) == 7
    assert len({series.seed(i) for i in range(3)}) == 3
    for i, image in enumerate(counts):
        e = series.experiment(i)
        expected = nb.count_photons(e, nb.simulate(e), seed=series.seed(i))
        assert image.dtype == np.int32
        assert np.array_equal(image, expected)
    with pytest.raises(nb.UsageError, match="seed"):
        nb.series(turning, 3).seed(0)


def test_images_are_made_while_others_are_looked_at(turning):
    calls = []
    images = iter(nb.series(turning, 20, ahead=2, progress=calls.append))
    next(images)
    # One is being looked at, two wait, one was made and waits for its place.
    deadline = time.monotonic() + 20
    while max(calls) < 4 / 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    made = max(calls)
    assert 4 / 20 <= made <= 0.25
    images.close()
    assert threading.active_count() == 1
    assert max(calls) == made


def test_a_loop_that_ends_early_ends_the_work(turning):
    for image in itertools.islice(nb.series(turning, 1000), 2):
        assert image.max() > 0
    deadline = time.monotonic() + 5
    while threading.active_count() > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == 1


def test_what_goes_wrong_is_raised_in_the_loop(turning):
    def stop(share):
        return share < 0.4

    with pytest.raises(nb.Cancelled):
        list(nb.series(turning, 5, progress=stop))


@pytest.mark.parametrize(
    "images, more, text",
    [
        (0, {}, "at least one image"),
        (3, {"orientations": [[1, 2, 3]]}, "1 orientations"),
        (None, {"orientations": [1, 2, 3]}, r"\(n, 3\)"),
        (None, {"orientations": [2 * np.eye(3)]}, "no rotation matrix"),
        (3, {"ahead": 0}, "ahead"),
    ],
)
def test_what_is_no_series_is_said(turning, still, images, more, text):
    with pytest.raises((nb.UsageError, TypeError), match=text):
        nb.series(still if "orientations" in more else turning, images, **more)
    with pytest.raises(nb.UsageError, match="exclude each other"):
        nb.series(turning, orientations=[[1, 2, 3]])


def test_the_truth_beside_a_series_is_that_of_the_command(turning, program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    series = nb.series(turning, 4)
    with nb.ImageWriter("scan.refl", turning, images=4) as file:
        for image in series:
            file.add(image)
    line = (
        "-corrected -gauss_xtal -cell 60 70 80 -default_F 100 -N 12 -misset 10 20 30 -mosaic 0.3 -mosaic_domains 3 "
        "-detpixels_f 60 -detpixels_s 50 -pixel 0.4 -distance 80 -fluence 1e24 -phi 10 -osc 0.2 -images 4 -nonoise "
        "-o command.refl -quiet"
    )
    done = subprocess.run([program, *line.split()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "command.refl").read_bytes() == (tmp_path / "scan.refl").read_bytes()


def test_stills_have_crystals_of_their_own_in_an_expt(still, tmp_path):
    angles = nb.random_orientations(3, 1)
    with nb.ImageWriter(tmp_path / "stills.expt", still, images=3, orientations=angles):
        pass
    crystals = json.loads((tmp_path / "stills.expt").read_text())["crystal"]
    assert len(crystals) == 3
    for crystal, misset in zip(crystals, angles):
        alone = still.replace(misset=tuple(misset))
        nb.write_image(tmp_path / "one.expt", alone)
        assert json.loads((tmp_path / "one.expt").read_text())["crystal"] == [crystal]
    with nb.ImageWriter(tmp_path / "stills.refl", still, images=3, orientations=angles) as file:
        for image in nb.series(still, orientations=angles):
            file.add(image)
    assert (tmp_path / "stills.refl").stat().st_size > 1000
    with pytest.raises(nb.UsageError, match="orientations are missing"):
        nb.ImageWriter(tmp_path / "x.refl", still, images=3)
    with pytest.raises(nb.UsageError, match="3 orientations"):
        nb.ImageWriter(tmp_path / "x.expt", still, images=2, orientations=angles)


def test_orientations_have_a_number_that_is_not_negative():
    assert nb.random_orientations(0, 1).shape == (0, 3)
    with pytest.raises(nb.UsageError, match="images needs a number from 0, not -1"):
        nb.random_orientations(-1, 1)
