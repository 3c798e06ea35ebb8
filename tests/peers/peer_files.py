"""Files of images beside the programs that read and write them.

The tests run the program nablabragg_image_files (tests/peers/image_files.cpp), whose path
NABLABRAGG_IMAGE_FILES holds, and skip, saying so, where a peer is absent."""

import copy
import json
import math
import os
import pathlib
import subprocess

import numpy as np
import pytest

TOOL = os.environ.get("NABLABRAGG_IMAGE_FILES", "")
# Real files, which are not ours to copy; NABLABRAGG_REAL_FILES names another folder of them.
SHARED = pathlib.Path(os.environ.get("NABLABRAGG_REAL_FILES", pathlib.Path(
    __file__).resolve().parents[2].parent / "shared" / "real"))


def turn(axis, degrees):
    """The rotation by the right-hand rule."""
    x, y, z = np.array(axis, float) / np.linalg.norm(axis)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    t = math.radians(degrees)
    return np.eye(3) + math.sin(t) * k + (1 - math.cos(t)) * k @ k


def turned(panel, rotation, about=(0, 0, 0)):
    result = copy.deepcopy(panel)
    about = np.array(about, float)
    result["origin"] = list(about + rotation @ (np.array(panel["origin"], float) - about))
    for axis in ("fast", "slow"):
        result[axis] = list(rotation @ np.array(panel[axis], float))
    return result


def panel(size=(120, 90), pixel=(0.1721, 0.1721), beam=(60, 45), distance=123.456789, **more):
    """Square to the beam, which meets it at these pixels."""
    result = {
        "size": list(size),
        "pixel": list(pixel),
        "origin": [-beam[0] * pixel[0], beam[1] * pixel[1], -distance],
        "fast": [1, 0, 0],
        "slow": [0, -1, 0],
        "material": "Si",
        "thickness": 0.45,
        "saturation": 60000,
    }
    result.update(more)
    return result


def detectors():
    flat = panel()
    off = panel(beam=(23.123456789, 71.9876543))
    return {
        "square, centred": [panel(size=(100, 100), beam=(50, 50))],
        "off-centre": [off],
        "tilted": [turned(off, turn((0.3, 1, 0.2), 7.3), about=(0, 0, -123))],
        "several panels, one tilted": [
            panel(name="left", beam=(130, 45)),
            turned(panel(name="right", beam=(-10, 45)), turn((0, 1, 0), -31.7)),
            panel(name="far", beam=(60, -80), distance=200),
        ],
        "beam off the panel": [panel(beam=(-310.25, 512.75))],
        "two-theta": [turned(flat, turn((1, 0, 0), 20.0123456))],
    }


SCAN = {"axis": [1, 0, 0], "start": 12.5, "width": 0.1, "first": 3, "exposure": 0.25}


def series(panels, scan=True, images=1, **more):
    result = {"panels": panels, "wavelength": 0.97951234567, "images": images}
    if scan:
        result["scan"] = dict(SCAN)
    result.update(more)
    return result


def counts(case, image=0):
    """Of each panel, as image_files writes them."""
    result, begin = [], 0
    for p in case["panels"]:
        fast, slow = p["size"]
        values = (7 * np.arange(begin, begin + fast * slow) + 13 * image) % 1000
        begin += fast * slow
        values = values.reshape(slow, fast)
        for f0, f1, s0, s1 in p.get("masked", []):
            values[s0:s1, f0:f1] = -1
        result.append(values)
    return result


def position(p, fast, slow):
    """Of a point of a panel in pixels from its outer corner."""
    return (
        np.array(p["origin"], float)
        + fast * p["pixel"][0] * np.array(p["fast"], float)
        + slow * p["pixel"][1] * np.array(p["slow"], float)
    )


def ten_points(p):
    random = np.random.default_rng(14)
    return random.uniform((0, 0), p["size"], (10, 2))


def run(*arguments, stdin=None):
    if not TOOL:
        pytest.skip("NABLABRAGG_IMAGE_FILES does not name the program that the tests run")
    return subprocess.run([TOOL, *map(str, arguments)], input=stdin, text=True, capture_output=True)


def write(path, case, command="write"):
    made = run(command, path, stdin=json.dumps(case))
    assert made.returncode == 0, made.stderr
    return path


def refusal(path, case):
    made = run("write", path, stdin=json.dumps(case))
    assert made.returncode == 1 and not pathlib.Path(path).exists()
    return made.stderr.strip()


def read(path, tmp_path):
    """Geometry and pixels, panel by panel."""
    raw = tmp_path / "pixels.raw"
    made = run("read", path, raw)
    assert made.returncode == 0, made.stderr
    geometry = json.loads(made.stdout)
    pixels, result = np.fromfile(raw), []
    for p in geometry["panels"]:
        fast, slow = p["size"]
        result.append(pixels[: fast * slow].reshape(slow, fast))
        pixels = pixels[fast * slow :]
    assert len(pixels) == 0
    return geometry, result


def read_error(path):
    made = run("read", path)
    assert made.returncode == 1
    return made.stderr.strip()
