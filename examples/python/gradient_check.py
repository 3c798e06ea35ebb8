"""The gradient of a sum over an image, compared with differences of images."""

import numpy as np

import nablabragg as nb

experiment = nb.Experiment(
    crystal=nb.Crystal(cell=(50, 60, 70, 85, 95, 105), misset=(10, 20, 30), cells=5),
    detector=nb.Detector(pixels=64, pixel_size=0.8, distance=100),
    sampling=nb.Sampling(oversample=1),
    structure_factors=100,
)
weights = np.random.default_rng(0).normal(size=experiment.shape)
value, gradient = nb.value_and_gradient(experiment, weights)


def weighted_sum(**changes):
    return (weights * nb.simulate(experiment.replace(**changes), dtype="float64")).sum()


for name, step in (("distance", 1e-3), ("wavelength", 1e-6)):
    x = experiment[name]
    f = {i: weighted_sum(**{name: x + i * step}) for i in (-2, -1, 1, 2)}
    difference = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * step)
    agrees = abs(gradient[name] / difference - 1) < 1e-6
    print(f"{name:10} {gradient[name]:12.5g} {difference:12.5g} per {experiment.units[name]}, "
          f"{'equal to 1e-6' if agrees else 'DIFFERENT'}")  # fmt: skip
