"""A network that learns how a crystal lies from its still: shots, training, error on unseen shots.

    train_orientation.py [EPOCHS]

The shots are those of an ensemble: a crystal about one orientation, up to 8 degrees off it about each of three axes.  The
network answers with a rotation vector; its error is the angle between that rotation and the true one.  Needs torch and h5py
(Debian: python3-torch, python3-h5py).
"""

import pathlib
import subprocess
import sys
import tempfile

import torch

from nablabragg.torch import ShotDataset

SHOTS, UNSEEN = 8000, 1000

ENSEMBLE = f"""
ensemble: 1
base: >
  -corrected -cell 38 47 61 90 90 90 -default_F 100 -N 3 -gauss_xtal -misset 20 35 50 -lambda 1.3 -fluence 2e28
  -distance 60 -detpixels 64 -pixel 1.2 -oversample 9 -sensor Si 450 -thicksteps 1
shots: {SHOTS}
seed: 1
vary:
  misset[0]: {{uniform: [12, 28]}}
  misset[1]: {{uniform: [27, 43]}}
  misset[2]: {{uniform: [42, 58]}}
output: shots
"""


def make_shots(folder):
    """(counts, orientation): float32 (shots, 64, 64), float64 (shots, 3, 3)."""
    (folder / "ensemble.yaml").write_text(ENSEMBLE)
    subprocess.run(["nablabragg", "ensemble", "ensemble.yaml", "--quiet"], cwd=folder, check=True)
    data = ShotDataset(folder / "shots", labels=["orientation"])
    images, labels = zip(*data)
    return torch.stack(images), torch.stack([each["orientation"] for each in labels])


def rotation_of(vector):
    """The rotations about these vectors, by their length [radian]: (n, 3) -> (n, 3, 3)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.linalg.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3))


def angle_deg(a, b):
    """Between rotations."""
    trace = (a.transpose(-1, -2) @ b).diagonal(dim1=-1, dim2=-2).sum(-1)
    return torch.rad2deg(torch.acos(((trace - 1) / 2).clamp(-1, 1)))


def mean_rotation(rotations):
    """The rotation that is nearest to their mean."""
    u, _, vh = torch.linalg.svd(rotations.mean(0))
    return u @ vh


def vector_of(rotations):
    """The vectors of rotations by less than a quarter turn: (n, 3, 3) -> (n, 3)."""
    odd = (rotations - rotations.transpose(-1, -2)) / 2
    sine_axis = torch.stack([odd[:, 2, 1], odd[:, 0, 2], odd[:, 1, 0]], -1)
    sine = sine_axis.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return sine_axis / sine * torch.asin(sine.clamp(max=1))


def network():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 5, stride=2, padding=2), torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 5, stride=2, padding=2), torch.nn.ReLU(),
        torch.nn.Conv2d(32, 64, 3, stride=2, padding=1), torch.nn.ReLU(),
        torch.nn.Flatten(), torch.nn.Linear(64 * 8 * 8, 256), torch.nn.ReLU(), torch.nn.Linear(256, 3),
    )  # fmt: skip


def train(counts, orientations, epochs):
    """Yields the median error [degree] on unseen shots: before the training, and after each epoch."""
    torch.manual_seed(1)
    images = counts.sqrt()[:, None]  # of about one variance, whatever the counts
    images = (images - images.mean()) / images.std()
    seen = slice(0, SHOTS - UNSEEN)
    middle = mean_rotation(orientations[seen])
    vectors = vector_of(orientations @ middle.T).float()
    unit = vectors[seen].std()
    model = network()

    def error():
        with torch.no_grad():
            answer = (model(images[SHOTS - UNSEEN :]) * unit).double()
        return angle_deg(rotation_of(answer) @ middle, orientations[SHOTS - UNSEEN :]).median().item()

    yield error()
    batches = -(-(SHOTS - UNSEEN) // 64)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        for some in torch.randperm(SHOTS - UNSEEN).split(64):
            loss = ((model(images[some]) - vectors[some] / unit) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        yield error()


if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    with tempfile.TemporaryDirectory() as folder:
        counts, orientations = make_shots(pathlib.Path(folder))
    print(f"{SHOTS - UNSEEN} shots to learn from, {UNSEEN} unseen; median error on the unseen ones")
    for epoch, degrees in enumerate(train(counts, orientations, epochs)):
        print(f"epoch {epoch:2}  {degrees:6.2f} deg  {'#' * round(8 * degrees)}", flush=True)
