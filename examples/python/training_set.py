"""Images with their labels, for a network that learns orientations: an endless generator.

    training_set.py [NUMBER]
"""

import sys

import numpy as np

import nablabragg as nb


def training_set(experiment, seed):
    """Yields (counts, misset): Poisson counts, uint16 (slow, fast), and the orientation [degree]."""
    random = np.random.default_rng(seed)
    while True:
        misset = random.uniform(-180, 180, 3)
        image = nb.simulate(experiment.replace(misset=misset))
        yield random.poisson(image).clip(0, 65535).astype(np.uint16), misset


amplitudes = np.random.default_rng(0).gamma(2, 40, (41, 41, 41))
standard = nb.Experiment(
    crystal=nb.Crystal(
        cell=(50.8, 42.8, 28.9, 90, 90, 90), cells=10, mosaic_spread=0.3, mosaic_domains=8
    ),
    beam=nb.Beam(fluence=1e27),
    detector=nb.Detector(pixels=256, pixel_size=0.4, distance=100),
    sampling=nb.Sampling(oversample=1),
    structure_factors=nb.StructureFactors(F=amplitudes),
)
number = int(sys.argv[1]) if len(sys.argv) > 1 else 3
for _, (counts, misset) in zip(range(number), training_set(standard, seed=1)):
    print(f"{counts.shape} {counts.dtype}, misset {np.round(misset, 1).tolist()}")
