"""Images on a GPU, on its stand-in for tests: its memory is the processor's."""

import os
import pathlib
import subprocess
import sys

import pytest

STAND_IN = pathlib.Path(os.environ.get("NABLABRAGG_BUILD_DIR", ""), "tests/device/libnablabragg_cuda_on_cpu.so")

BEGINNING = """
import numpy as np
import nablabragg as nb
e = nb.Experiment(
    crystal=nb.Crystal(cell=(50, 60, 70, 85, 95, 105), misset=(10, 20, 30), cells=(5, 6, 7)),
    detector=nb.Detector(pixels=(40, 48), pixel_size=1.0, distance=90),
    beam=nb.Beam(wavelength=1.1, fluence=1e27),
    sampling=nb.Sampling(oversample=2),
    structure_factors=100,
)
"""


def run(code, **environment):
    """In a process of its own: the plugin is opened once."""
    plugin = os.environ.get("NABLABRAGG_CUDA_PLUGIN", str(STAND_IN))
    if not os.path.isfile(plugin):
        pytest.skip("NABLABRAGG_BUILD_DIR names no build with the stand-in for a GPU")
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + code],
        env={**os.environ, "NABLABRAGG_CUDA_PLUGIN": plugin, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_takes_an_image_without_a_copy(dtype):
    run(f"""
image = nb.simulate_on_device(e, dtype={dtype!r})
assert image.shape == e.shape == (48, 40) and image.dtype == np.dtype({dtype!r}) and image.device == "cuda:0"
assert repr(image) == "<DeviceArray (48, 40) {dtype} on cuda:0>"
assert image.__dlpack_device__() == (1, 0)
one, another = np.from_dlpack(image), np.from_dlpack(image)
assert one.__array_interface__["data"][0] == another.__array_interface__["data"][0]
np.testing.assert_array_equal(one, nb.simulate(e, device="cuda", dtype={dtype!r}))
del image
assert one.max() > 0
""")


def test_an_image_is_given_back_with_the_last_array_of_it():
    run(
        """
for _ in range(100):
    image = nb.simulate_on_device(e)
    array = np.from_dlpack(image)
    unused = image.__dlpack__()
    del image, unused
    assert array.sum() > 0
kept = []
try:
    for _ in range(100):
        kept.append(np.from_dlpack(nb.simulate_on_device(e)))
except nb.DeviceError:
    raise SystemExit
raise AssertionError("the memory does not end")
""",
        NABLABRAGG_ON_CPU_MEMORY="200000",
    )


def test_what_cannot_be_done_is_said():
    run("""
def message_of(error, work):
    try:
        work()
    except error as e:
        return str(e)
image = nb.simulate_on_device(e)
assert "without a copy" in message_of(BufferError, lambda: image.__dlpack__(copy=True))
assert "cuda:0" in message_of(BufferError, lambda: image.__dlpack__(dl_device=(2, 5)))
assert "take the device 'cuda'" in message_of(nb.UsageError, lambda: nb.simulate_on_device(e, device="cpu"))
""")


def test_torch_takes_an_image_without_a_copy():
    pytest.importorskip("torch", reason="torch is not installed (Debian: python3-torch)")
    run("""
import torch
import nablabragg.torch as nbt
image = nb.simulate_on_device(e)
tensor = torch.from_dlpack(image)
assert tensor.data_ptr() == np.from_dlpack(image).__array_interface__["data"][0]
assert tensor.dtype == torch.float32 and tuple(tensor.shape) == (48, 40)
del image
np.testing.assert_array_equal(tensor.numpy(), nb.simulate(e, device="cuda"))
asked = []
simulate_on_device = nb.simulate_on_device
nb.simulate_on_device = lambda *a, **k: asked.append(1) or simulate_on_device(*a, **k)
distance = torch.tensor(90.0, dtype=torch.float64, requires_grad=True)
there = nbt.simulate(e, {"distance": distance}, engine="cuda")
there.sum().backward()
assert asked == [1]
here = nb.simulate(e, device="cuda", dtype="float64")
np.testing.assert_array_equal(there.detach().numpy(), here)
_, gradient = nb.value_and_gradient(e, np.ones(e.shape), device="cuda")
assert abs(distance.grad.item() / gradient["distance"] - 1) < 1e-9
""")


def test_the_counts_of_a_series_are_those_of_its_images():
    run("""
e = e.replace(scan=nb.Scan(oscillation=1.0))
drawn = list(nb.series(e, 3, seed=5, device="cuda"))
series = nb.series(e, 3, seed=5, device="cuda")
for i, counts in enumerate(drawn):
    image = nb.simulate(series.experiment(i), device="cuda")
    np.testing.assert_array_equal(counts, nb.count_photons(series.experiment(i), image, seed=series.seed(i)))
    assert counts.dtype == np.int32 and counts.sum() > 100
""")
