"""Images."""

import multiprocessing
import re
import threading
import time
import zlib

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


def _pixels_of(path):
    """(channels, bits, array) of a PNG without filters, as the module writes them."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"IHDR":
            width, height = (int.from_bytes(data[at + i : at + i + 4], "big") for i in (8, 12))
            bits, channels = data[at + 16], {0: 1, 2: 3}[data[at + 17]]
        if kind == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    values = np.ascontiguousarray(rows[:, 1:]).view(">u2" if bits == 16 else np.uint8)
    return channels, bits, values.reshape(height, width, channels)


def test_a_picture_of_an_image_is_the_root_of_its_photons_pixel_by_pixel(small, tmp_path):
    image, path = nb.simulate(small), tmp_path / "bare.png"
    nb.write_picture(path, small, image, white=50)
    channels, bits, greys = _pixels_of(path)
    assert (channels, bits) == (1, 8)
    expected = 255 * np.sqrt(np.clip(image.astype(float) / 50, 0, 1))
    assert np.abs(greys[:, :, 0] - expected).max() <= 0.501
    nb.write_picture(path, small, image, white=50, bits=16, scale="linear", inverted=True)
    channels, bits, greys = _pixels_of(path)
    assert (channels, bits) == (1, 16)
    assert np.abs(65535 - greys[:, :, 0] - 65535 * np.clip(image.astype(float) / 50, 0, 1)).max() <= 0.501
    nb.write_image(tmp_path / "written.png", small, image)
    nb.write_picture(path, small, image)
    assert np.array_equal(_pixels_of(path)[2], _pixels_of(tmp_path / "written.png")[2])


def test_a_picture_takes_colors_axes_rings_and_fewer_points(small, tmp_path):
    image, path = nb.simulate(small), tmp_path / "a.png"
    nb.write_picture(path, small, image, colors="heat")
    channels, _, values = _pixels_of(path)
    assert channels == 3 and values.shape == (*image.shape, 3)
    again = tmp_path / "again.png"
    nb.write_png(again, values.astype(np.uint8))
    assert np.array_equal(_pixels_of(again)[2], values)
    nb.write_picture(path, small, image, axes=True)
    assert _pixels_of(path)[2].shape[0] > 400
    nb.write_picture(path, small, image, rings=[20])
    marked = _pixels_of(path)[2].astype(int)
    assert (marked[:, :, 2] > marked[:, :, 0]).sum() > 10
    nb.write_picture(path, small, image, shrink=8)
    assert _pixels_of(path)[2].shape[:2] == (-(-image.shape[0] // 8), -(-image.shape[1] // 8))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"scale": "cubic"}, "scale is one of 'linear', 'log', 'sqrt', not 'cubic'"),
        ({"colors": "red"}, "colors is one of 'grey', 'heat', not 'red'"),
        ({"white": 0}, "white needs a positive number of photons"),
        ({"bits": 12}, "bits is 8 or 16"),
        ({"shrink": 0}, "shrink needs a number of pixels, 1 or more"),
        ({"rings": [0.01]}, "beyond half the wavelength"),
        ({"rings": [2, -1]}, "rings are d-spacings above 0 Angstrom"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_refused_in_a_sentence(small, tmp_path, asked, words):
    with pytest.raises(nb.UsageError, match=re.escape(words)):
        nb.write_picture(tmp_path / "a.png", small, np.zeros(small.shape), **asked)
    assert not (tmp_path / "a.png").exists()


def test_a_picture_needs_the_image_of_its_experiment(small, tmp_path):
    with pytest.raises(nb.UsageError, match="image needs the shape of the experiment's"):
        nb.write_picture(tmp_path / "a.png", small, np.zeros((2, 2)))


def test_images_are_made_in_forked_processes_as_data_loaders_do(small):
    expected = nb.simulate(small).sum()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        sums = pool.map_async(image_sum, [small] * 4).get(timeout=60)
    assert sums == [expected] * 4


def image_sum(experiment):
    return nb.simulate(experiment).sum()
