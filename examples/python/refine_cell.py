"""Cell and orientation from an image, by Gauss-Newton steps on the pixels' Jacobian."""

import numpy as np

import nablabragg as nb

truth = nb.Experiment(
    crystal=nb.Crystal(
        cell=(50.8, 42.8, 28.9, 90, 90, 90), misset=(10, 20, 30), cells=8, shape="gauss"
    ),
    detector=nb.Detector(pixels=256, pixel_size=0.4, distance=100),
    sampling=nb.Sampling(oversample=1),
    beam=nb.Beam(fluence=1e27),
    structure_factors=100,
)
measured = nb.simulate(truth, dtype="float64")

start = {"cell": truth["cell"] * [1.004, 0.997, 1.003, 1.002, 0.998, 1.001],
         "misset": truth["misset"] + [0.2, -0.1, 0.15]}  # fmt: skip
experiment = truth.replace(**start)
pixels = np.argwhere(measured > np.percentile(measured, 80))
for cycle in range(12):
    photons, slopes, _, _ = nb.jacobian(experiment, ["cell", "misset"], pixels)
    residual = measured[tuple(pixels.T)] - photons
    step = np.linalg.lstsq(slopes, residual, rcond=None)[0]
    length = min(1, 0.5 / abs(step).max())  # A or degree: no further than the steps are good for
    experiment = experiment.replace(
        cell=experiment["cell"] + length * step[:6], misset=experiment["misset"] + length * step[6:]
    )
    if cycle % 3 == 2:
        print(f"cycle {cycle + 1:2}: cell {np.round(experiment['cell'], 3).tolist()}, "
              f"misset {np.round(experiment['misset'], 3).tolist()}")  # fmt: skip
assert np.allclose(experiment["cell"], truth["cell"], atol=1e-5)
assert np.allclose(experiment["misset"], truth["misset"], atol=1e-5)
