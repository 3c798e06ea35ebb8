"""pip install, without a network, into an environment of its own."""

import os
import pathlib
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

SCRIPT = """
import pathlib, sys
import nablabragg as nb
assert pathlib.Path(nb.__file__).is_relative_to(sys.prefix), nb.__file__
for name in ("py.typed", "__init__.pyi"):
    assert pathlib.Path(nb.__file__).with_name(name).exists(), name
image = nb.simulate(nb.parse("-cell 70 80 90 90 90 90 -default_F 100 -N 5 -detpixels 16 -pixel 1"))
assert image.shape == (16, 16) and image.max() > 0
assert "torch" not in sys.modules
"""


def test_pip_installs_the_module_which_then_makes_an_image_and_the_program(tmp_path):
    if not os.environ.get("NABLABRAGG_BUILD_DIR"):
        pytest.skip("NABLABRAGG_BUILD_DIR names no build to install from; a new one takes minutes")
    environment = tmp_path / "environment"
    subprocess.run(
        [sys.executable, "-m", "venv", "--system-site-packages", environment], check=True
    )
    python = environment / "bin" / "python"
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation",
         "--no-deps", "--no-warn-script-location", REPOSITORY],
        check=True, env=clean,
    )  # fmt: skip
    subprocess.run([python, "-c", SCRIPT], check=True, env=clean, cwd=tmp_path)
    for program in ([environment / "bin" / "nablabragg"], [python, "-m", "nablabragg"]):
        said = subprocess.run(
            [*program, "--version"], check=True, env=clean, cwd=tmp_path, capture_output=True, text=True
        )
        assert said.stdout.startswith("nablabragg ")
