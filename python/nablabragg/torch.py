"""Images as functions of torch tensors.

    import nablabragg.torch
    image = nablabragg.torch.simulate(experiment, {"cell": cell, "distance": distance})
    ((image - target) ** 2).sum().backward()

simulate() is differentiable once, backwards and forwards; in float64 it passes
torch.autograd.gradcheck.  The engine computes, whatever the device of the tensors; an image of the
engine "cuda" that tensors on a GPU ask for does not leave the card.  Gradients do: they go by the
processor's memory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import torch

import nablabragg as nb
from nablabragg import _core
from nablabragg._model import changes_of

__all__ = ["ExperimentModel", "expected_counts", "simulate"]


def _array(tensor):
    return tensor.detach().cpu().double().numpy()


def _image(experiment, options, device):
    """On the device of the tensors: what a GPU of theirs computes stays there."""
    engine = options["engine"]
    if options["pixels"] is None and engine.partition(":")[0] == "cuda":
        kind, _ = _core.dlpack_device_of({**options, "device": None})
        if {1: "cpu", 2: "cuda"}[kind] == device.type:
            there = nb.simulate_on_device(
                experiment, **{name: options[name] for name in ("dtype", "threads", "engine")}
            )
            return torch.from_dlpack(there).to(device)
    return torch.from_numpy(nb.simulate(experiment, **options)).to(device)


class _Slopes(torch.autograd.Function):
    """The gradient of an image, which depends on its tensors, but has no gradient of its own."""

    @staticmethod
    def forward(_, image, weights, *_tensors):
        gradient = nb.vjp(image.experiment, _array(weights), **image.options)
        return tuple(
            torch.as_tensor(gradient[name], dtype=dtype, device=device).reshape(shape)
            for name, (shape, dtype, device) in zip(image.names, image.kinds)
        )

    @staticmethod
    def backward(_, *_weights):
        raise RuntimeError(
            "nablabragg.torch.simulate() is differentiable once: there is no gradient of a gradient; "
            "leave create_graph=True out, or take differences of gradients"
        )


class _Image(torch.autograd.Function):
    @staticmethod
    def forward(ctx, experiment, names, options, *tensors):
        ctx.experiment = experiment.replace(
            **{name: _array(tensor) for name, tensor in zip(names, tensors)}
        )
        ctx.names, ctx.options = names, options
        ctx.tensors = tensors
        ctx.kinds = [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]
        return _image(ctx.experiment, options, tensors[0].device)

    @staticmethod
    def backward(ctx, weights):
        return (None, None, None, *_Slopes.apply(ctx, weights, *ctx.tensors))

    @staticmethod
    def jvp(ctx, _experiment, _names, _options, *tangents):
        direction = {
            name: _array(tangent)
            for name, tangent in zip(ctx.names, tangents)
            if tangent is not None
        }
        change = nb.jvp(ctx.experiment, direction, **ctx.options)
        shape, dtype, device = ctx.kinds[0]
        return torch.from_numpy(change).to(getattr(torch, ctx.options["dtype"])).to(device)


def simulate(
    experiment: nb.Experiment,
    parameters: dict[str, torch.Tensor] | None = None,
    *,
    pixels=None,
    threads: int = 0,
    engine: str = "cpu",
) -> torch.Tensor:
    """The image with other values of some parameters, which gradients reach.

    parameters : dict of name to tensor
        of experiment.parameters, or "F", in their shapes and units
    pixels : int array (n, 2) of (slow, fast), of several panels (n, 3) of (panel, slow, fast), or bool
        array of the image's shape
        only these, in a tensor of shape (n,)

    Returns photons, (slow, fast), on the device of the first tensor; float64, arithmetic included,
    where one of the tensors is float64, else float32.  Raises nablabragg.UsageError for names and
    shapes that do not fit, TypeError for what is no tensor.  A loss that is NaN has NaN gradients; a
    gradient has no gradient of its own.
    """
    if not isinstance(experiment, nb.Experiment):
        raise TypeError(f"experiment needs an Experiment, not a {type(experiment).__name__}")
    if not isinstance(parameters, (Mapping, type(None))):
        raise TypeError(
            f"parameters needs a dict of names to tensors, not a {type(parameters).__name__}"
        )
    parameters = dict(parameters or {})
    for name, tensor in parameters.items():
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} needs a tensor, not a {type(tensor).__name__}")
        if tensor.is_complex():
            raise TypeError(f"{name} needs real numbers, not complex ones")
    double = any(tensor.dtype == torch.float64 for tensor in parameters.values())
    options = {
        "dtype": "float64" if double else "float32",
        "threads": threads,
        "engine": engine,
        "pixels": pixels.cpu().numpy() if isinstance(pixels, torch.Tensor) else pixels,
    }
    if not parameters:
        return torch.from_numpy(nb.simulate(experiment, **options))
    return _Image.apply(experiment, tuple(parameters), options, *parameters.values())


class _ExpectedCounts(torch.autograd.Function):
    @staticmethod
    def forward(ctx, experiment, photons, response):
        ctx.experiment, ctx.response = experiment, response
        ctx.save_for_backward(photons)
        counts = nb.expected_counts(experiment, _array(photons), response)
        return torch.from_numpy(counts).to(photons)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, weights):
        (photons,) = ctx.saved_tensors
        slopes = _core.pull_back_counts(
            ctx.experiment, _array(photons), _array(weights), ctx.response
        )
        return None, torch.from_numpy(slopes).to(photons), None


def expected_counts(
    experiment: nb.Experiment, photons: torch.Tensor, response: nb.DetectorResponse
) -> torch.Tensor:
    """The counts that a detector records on the mean, as nablabragg.expected_counts(), which
    gradients go through to the photons.

    photons : tensor of the experiment's shape
        as simulate() returns them

    Raises nablabragg.UsageError for another shape and for what the response cannot be.
    """
    return _ExpectedCounts.apply(experiment, photons, response)


class ExperimentModel(torch.nn.Module):
    """nablabragg.ExperimentModel as a module: x is a dict of torch parameters that start at zero.

    experiment, free
        as nablabragg.ExperimentModel takes them; "frozen" leaves no parameters
    dtype : torch.float64 or torch.float32
        of the parameters, the arithmetic and the image

    Call it for the image, with the options of simulate().
    """

    def __init__(self, experiment: nb.Experiment, free="stage_a", *, dtype=torch.float64):
        super().__init__()
        self._experiment = experiment
        self._dtype = dtype
        self._changes = changes_of(experiment, free)
        self.x = torch.nn.ParameterDict(
            {
                change.name: torch.nn.Parameter(torch.zeros(change.base.shape, dtype=dtype))
                for change in self._changes
            }
        )

    def values(self) -> dict[str, torch.Tensor]:
        """The free parameters in their units, as differentiable tensors."""
        values = {}
        for change in self._changes:
            x = self.x[change.name]
            log, base, bound = (
                torch.as_tensor(array, device=x.device)
                for array in (change.log, change.base, change.bound)
            )
            growth = torch.exp(torch.where(log, x, torch.zeros_like(x)))
            moved = torch.where(log, base * growth, base + bound * torch.tanh(x))
            values[change.name] = moved.to(x.dtype)
        return values

    def experiment(self) -> nb.Experiment:
        """The Experiment at the present x."""
        return self._experiment.replace(
            **{name: _array(value) for name, value in self.values().items()}
        )

    def forward(self, **options) -> torch.Tensor:
        if not self._changes:
            image = nb.simulate(self._experiment, dtype=str(self._dtype).split(".")[1], **options)
            return torch.from_numpy(np.asarray(image))
        return simulate(self._experiment, self.values(), **options)


class ShotDataset(torch.utils.data.IterableDataset):
    """The shots of an ensemble, each once, as (image, labels): what torch.utils.data.DataLoader takes.

    source : the folder of an ensemble, whose complete shards are read (by h5py), or the file that
        describes one: then each shot is made when its turn comes, and nothing is written
    labels : names of docs/ensembles.md, "spot_mask" among them; None: all
    seed : shuffles the shots, each epoch (set_epoch()) in its own way, by seed and epoch alone
    rank, ranks : of a run; they share the shots by their numbers, as the workers of a loader do

    `image` is float32 (slow, fast), `labels` a dictionary of float64 or int64 tensors, "spot_mask" of
    uint8.  A shot has the same bits whether it is read or made, on any number of workers and ranks.
    """

    def __init__(self, source, *, labels=None, seed=None, rank=0, ranks=1):
        from nablabragg.shots import Ensemble, Shots

        super().__init__()
        if not 0 <= rank < ranks:
            raise ValueError(f"rank {rank} is none of {ranks} ranks, which count from 0")
        self._shots = Ensemble(source) if os.path.isfile(source) else Shots(source)
        known = self._shots.label_names()
        for name in labels or ():
            if name not in known:
                raise KeyError(f"the shots have no label {name}; they have {', '.join(known)}")
        self._names = list(known if labels is None else labels)
        self._seed, self._epoch, self._rank, self._ranks = seed, 0, rank, ranks

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        """Shots of this rank."""
        return len(range(self._rank, len(self._shots), self._ranks))

    def __iter__(self):
        from nablabragg.shots import share_of

        numbers = share_of(np.arange(len(self._shots)), self._seed, self._epoch, self._rank, self._ranks)
        worker = torch.utils.data.get_worker_info()
        if worker is not None:
            numbers = numbers[worker.id :: worker.num_workers]
        # A worker is one of several processes that share the machine's threads.
        for shot in self._shots.in_turn(numbers, threads=0 if worker is None else 1):
            yield (
                torch.from_numpy(shot.counts.astype(np.float32)),
                {name: self._tensor(shot, name) for name in self._names},
            )

    @staticmethod
    def _tensor(shot, name):
        if name == "spot_mask":
            return torch.from_numpy(shot.spot_mask)
        value = np.asarray(shot.labels[name])
        return torch.as_tensor(value.astype(np.int64 if value.dtype.kind in "iu" else np.float64))
