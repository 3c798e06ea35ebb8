"""Misset, distance and fluence from an image, by Adam on a torch module."""

import numpy as np
import torch

import nablabragg as nb
import nablabragg.torch as nbt

truth = nb.Experiment(
    crystal=nb.Crystal(cell=(50.8, 42.8, 28.9, 90, 90, 90), cells=5, shape="gauss"),
    detector=nb.Detector(pixels=96, pixel_size=1.0, distance=100),
    sampling=nb.Sampling(oversample=1),
    beam=nb.Beam(fluence=1e26),
    structure_factors=100,
)
measured = torch.from_numpy(nb.simulate(truth, dtype="float64"))
scale = measured.max()

start = truth.replace(misset=(0.3, -0.2, 0.25), distance=100.4, fluence=0.9e26)
model = nbt.ExperimentModel(start, ["misset", "distance", "fluence"])
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for cycle in range(300):
    optimizer.zero_grad()
    loss = (((model() - measured) / scale) ** 2).sum()
    loss.backward()
    optimizer.step()
found = model.experiment()
print(f"misset {(np.round(found['misset'], 2) + 0.0).tolist()}, distance {found['distance']:.1f} mm, "
      f"fluence {found['fluence']:.2e}")  # fmt: skip
