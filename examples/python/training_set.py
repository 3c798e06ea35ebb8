"""Images with their labels, for a network that learns orientations: an endless generator.

    training_set.py [NUMBER]

A label is the misset of its image.  Rotations that map the crystal's lattice and its structure
factors onto themselves give the same image: labels of a symmetric crystal are not unique, so
compare them up to the rotations of its point group.  Angles jump where rotations do not: a network
learns the matrix or a quaternion of the rotation more easily.
"""

import sys

import numpy as np

import nablabragg as nb


def random_misset(random):
    """A misset [degree], uniform over all rotations.

    The crystal is rotated about x, then y, then z.  Angles that are each uniform would crowd the
    poles: the sine of the second one has to be uniform, between -90 and 90 degrees.
    """
    x, z = random.uniform(-180, 180, 2)
    return np.array([x, np.degrees(np.arcsin(random.uniform(-1, 1))), z])


def training_set(experiment, seed):
    """Yields (counts, misset): Poisson counts, uint16 (slow, fast), and the orientation [degree]."""
    random = np.random.default_rng(seed)
    while True:
        misset = random_misset(random)
        image = nb.simulate(experiment.replace(misset=misset))
        yield random.poisson(image).clip(0, 65535).astype(np.uint16), misset


if __name__ == "__main__":
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
