"""A first image: ubiquitin, from its atoms to a picture.

    first_image.py [PICTURE.png]
"""

import pathlib
import sys

import numpy as np

import nablabragg as nb

model = pathlib.Path(__file__).parents[1] / "ubiquitin" / "1ubq.pdb"
factors, cell = nb.calculate_structure_factors(model, dmin=1.8)

experiment = nb.Experiment(
    crystal=nb.Crystal(
        cell=cell, misset=(10, 20, 30), cells=(20, 20, 30), mosaic_spread=0.5, mosaic_domains=32
    ),
    beam=nb.Beam(wavelength=1.0, fluence=1e26),
    detector=nb.Detector(pixels=512, pixel_size=0.2, distance=100),
    sampling=nb.Sampling(oversample=1),
    structure_factors=factors,
    water=0.25,
)
image = nb.simulate(experiment)  # photons, (slow, fast)
print(f"{image.shape[0]} x {image.shape[1]} {image.dtype}, {image.sum():.3g} photons")

counts = np.random.default_rng(1).poisson(image)
name = sys.argv[1] if len(sys.argv) > 1 else "first_image.png"
nb.write_picture(name, experiment, counts, inverted=True, axes=True, rings=(2, 3, 5, 10))
