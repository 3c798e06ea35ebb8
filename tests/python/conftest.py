import os
import pathlib
import signal
import threading

import numpy as np
import pytest

import nablabragg as nb

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def ctrl_c():
    """A function of the seconds after which Ctrl-C is pressed."""
    timers = []

    def press_after(seconds):
        timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)))
        timers[-1].start()

    yield press_after
    for timer in timers:
        timer.cancel()


@pytest.fixture(scope="session")
def program():
    """The command-line program of the same build."""
    path = os.environ.get("NABLA_PROGRAM", "")
    if not path:
        pytest.skip("NABLA_PROGRAM does not name the program")
    return path


@pytest.fixture
def small():
    """A 48 x 40 (slow x fast) image of a small triclinic crystal with a table of F."""
    amplitudes = np.random.default_rng(7).uniform(20, 200, (21, 21, 21))
    return nb.Experiment(
        crystal=nb.Crystal(cell=(50, 60, 70, 85, 95, 105), misset=(10, 20, 30), cells=(5, 6, 7)),
        detector=nb.Detector(pixels=(40, 48), pixel_size=1.0, distance=90, rotation=(1, -2, 3)),
        beam=nb.Beam(wavelength=1.1, fluence=1e26, polarization=0.8),
        sampling=nb.Sampling(oversample=2),
        structure_factors=nb.StructureFactors(F=amplitudes, default_F=50),
    )
