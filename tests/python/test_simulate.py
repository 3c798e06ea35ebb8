"""Images."""

import multiprocessing
import threading
import time

import numpy as np
import pytest

import nablabragg as nb


@pytest.fixture(scope="module")
def slow():
    """Minutes of work."""
    return nb.Experiment(
        crystal=nb.Crystal(
            cell=(100, 100, 100, 90, 90, 90), cells=20, mosaic_spread=1, mosaic_domains=500
        ),
        detector=nb.Detector(pixels=2048),
        sampling=nb.Sampling(oversample=4),
        structure_factors=100,
    )


def test_an_image_is_slow_by_fast_and_owns_its_memory(small):
    image = nb.simulate(small)
    assert image.shape == small.shape == (48, 40)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous and image.flags.writeable
    assert type(image.base).__name__ == "PyCapsule"  # of the memory that C++ filled
    assert image.max() > 0
    image += 1


def test_an_image_does_not_depend_on_threads(small):
    assert np.array_equal(nb.simulate(small, threads=1), nb.simulate(small, threads=2))


def test_engines_agree(small):
    image, plain = nb.simulate(small), nb.simulate(small, engine="reference")
    assert np.abs(image - plain).max() < 2e-6 * plain.max()


def test_listed_pixels_are_those_of_the_image(small):
    image = nb.simulate(small)
    pixels = np.array([[47, 39], [0, 0], [20, 7]])
    assert np.allclose(nb.simulate(small, pixels=pixels), image[tuple(pixels.T)], rtol=1e-4)
    chosen = image > np.percentile(image, 90)
    assert np.allclose(nb.simulate(small, pixels=chosen), image[chosen], rtol=1e-4)
    assert nb.simulate(small, pixels=np.zeros((0, 2), int)).shape == (0,)


def test_the_device_stands_for_the_engine(small):
    image = nb.simulate(small)
    for device in ("cpu", "auto"):
        assert np.array_equal(nb.simulate(small, device=device, summation="sampled"), image)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dtype": "int8"},
        {"threads": -1},
        {"engine": "gpu"},
        {"device": "cuda"},
        {"summation": "closed"},
        {"pixels": [(48, 0)]},
        {"pixels": [(0.5, 0.5)]},
        {"pixels": [1, 2, 3]},
    ],
)
def test_wrong_options_are_usage_errors(small, wrong):
    with pytest.raises(nb.UsageError):
        nb.simulate(small, **wrong)


def test_ctrl_c_stops_an_image_within_two_seconds(slow, ctrl_c):
    ctrl_c(0.3)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        nb.simulate(slow)
    assert time.monotonic() - start < 2


def test_progress_returning_false_cancels(slow):
    shares = []

    def progress(share):
        shares.append(share)
        return len(shares) < 3

    with pytest.raises(nb.Cancelled):
        nb.simulate(slow, progress=progress)
    assert len(shares) == 3 and shares == sorted(shares) and shares[-1] < 1


def test_what_progress_raises_comes_through(slow):
    def progress(share):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        nb.simulate(slow, progress=progress)


def test_progress_ends_with_1(small):
    shares = []
    nb.simulate(small, progress=shares.append)
    assert shares[-1] == 1


def test_other_python_threads_run_meanwhile(slow):
    counted = []
    stop = threading.Event()

    def count():
        while not stop.is_set():
            counted.append(time.monotonic())
            time.sleep(0.01)

    counter = threading.Thread(target=count, daemon=True)
    counter.start()
    end = time.monotonic() + 0.6
    try:
        with pytest.raises(nb.Cancelled):
            nb.simulate(slow, progress=lambda share: time.monotonic() < end)
    finally:
        stop.set()
    counter.join()
    assert len(counted) > 10


def test_images_are_made_in_several_python_threads_at_once(small):
    expected = nb.simulate(small)
    images = [None] * 4

    def work(i):
        images[i] = nb.simulate(small)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(image, expected) for image in images)


def test_nothing_is_printed(small, capfd):
    nb.simulate(small)
    nb.parse("-cell 70 80 90 75 95 105 -default_F 100 -detpixels 16 stray")
    assert capfd.readouterr() == ("", "")


def test_a_picture_is_a_png_of_8_or_16_bits(small, tmp_path):
    image = nb.simulate(small)
    for kind, white in ((np.uint8, 255), (np.uint16, 65535)):
        path = tmp_path / f"{white}.png"
        nb.write_png(path, (white * np.clip(image / image.max(), 0, 1)).astype(kind))
        head = path.read_bytes()[:26]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(head[16:20], "big") == 40 and int.from_bytes(head[20:24], "big") == 48
        assert head[24] == (8 if white == 255 else 16)
    with pytest.raises(nb.UsageError):
        nb.write_png(tmp_path / "no.png", image)
    with pytest.raises(nb.OutputError):
        nb.write_png(tmp_path / "no" / "folder.png", np.zeros((2, 2), np.uint8))


def test_images_are_made_in_forked_processes_as_data_loaders_do(small):
    expected = nb.simulate(small).sum()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        sums = pool.map_async(image_sum, [small] * 4).get(timeout=60)
    assert sums == [expected] * 4


def image_sum(experiment):
    return nb.simulate(experiment).sum()
