"""Experiments that several files of tests take."""

import nablabragg as nb


def model(**more):
    """A small cubic crystal 60 mm from 32 x 32 large pixels."""
    return nb.Experiment(
        crystal=nb.Crystal(cell=(60, 60, 60, 90, 90, 90), cells=10, misset=(10, 20, 30)),
        beam=nb.Beam(wavelength=1, flux=1e12, size=0.1),
        detector=nb.Detector(pixels=32, pixel_size=2, distance=60),
        sampling=nb.Sampling(oversample=1),
        structure_factors=100,
        **more,
    )
