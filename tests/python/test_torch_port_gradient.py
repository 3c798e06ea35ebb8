"""scripts/torch-port-gradient, as far as it goes without the port."""

import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("torch")

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "torch-port-gradient"


def test_the_weights_are_those_of_the_benchmark():
    loader = importlib.machinery.SourceFileLoader("torch_port_gradient", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    weights = module.pixel_weights(1000)
    # The first two outputs of splitmix64 from 0 are e220a8397b1dcdaf and 6e789e6aa1b965f4
    assert list(weights[:2]) == [0xE220A8 / 2**24, 0x6E789E / 2**24]
    assert weights.shape == (1000,)


def test_a_flag_that_the_port_is_not_asked_for_is_refused():
    run = subprocess.run([sys.executable, SCRIPT, "nowhere", "-cell", "1", "1", "1", "90", "90", "90",
                          "-detpixels", "8", "-pixel", "1", "-dispersion", "1"], capture_output=True, text=True)
    assert run.returncode == 2
    assert "unrecognized arguments: -dispersion 1" in run.stderr
