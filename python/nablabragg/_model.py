"""An experiment as a function of a vector that starts at zero, for optimisers."""

import numpy as np

from nablabragg import _core
from nablabragg._compute import simulate, value_and_gradient

_ANGLE = 10.0  # degrees
_TILT = 5.0  # degrees
_SHIFT = 5.0  # pixels

PRESETS = ("frozen", "stage_a")


class _Change:
    """How a parameter follows from x: base * exp(x), or base + bound * tanh(x), number by number."""

    def __init__(self, name, base, how):
        self.name = name
        self.base = np.asarray(base, float)
        if isinstance(how, str) or np.isscalar(how):
            how = [how] * max(1, self.base.size)
        if len(how) != max(1, self.base.size) or any(h != "log" and not _positive(h) for h in how):
            raise _core.UsageError(
                f"{name} changes by 'log' or within a positive bound, one for all of its numbers or "
                f"one for each, not {how!r}"
            )
        self.log = np.array([h == "log" for h in how]).reshape(self.base.shape)
        self.bound = np.array([0.0 if h == "log" else h for h in how]).reshape(self.base.shape)
        if np.any(self.log & (self.base == 0)):
            raise _core.UsageError(f"{name} is 0, so no factor changes it: give a bound")

    def value(self, x):
        growth = np.exp(np.where(self.log, x, 0))
        return np.where(self.log, self.base * growth, self.base + self.bound * np.tanh(x))

    def slope(self, x):
        """d(value)/dx"""
        growth = np.exp(np.where(self.log, x, 0))
        return np.where(self.log, self.base * growth, self.bound / np.cosh(np.clip(x, -300, 300)) ** 2)


def _positive(bound):
    return isinstance(bound, (int, float, np.number)) and 0 < bound < np.inf


def _usual(experiment):
    """What is free in stage A, and how other names change unless told otherwise."""
    values = experiment.parameters
    usual = {
        "cell": ["log"] * 3 + [_ANGLE] * 3,
        "misset": _ANGLE,
        "distance": "log",
        "close_distance": "log",
        "detector_rotation": _TILT,
        "two_theta": _TILT,
        "beam_center": _SHIFT * values["pixel_size"],
        "fluence": "log",
        "flux": "log",
        "mosaic_spread": "log",
    }
    if "beam_center" not in values:
        usual |= {"near_point": _SHIFT * values["pixel_size"], "org": _SHIFT}
    return {
        name: how
        for name, how in usual.items()
        if name in values and (how != "log" or values[name] != 0)
    }


def changes_of(experiment, free):
    """The changes that `free` asks for, as ExperimentModel documents it."""
    usual = _usual(experiment)
    if isinstance(free, str):
        if free not in PRESETS:
            raise _core.UsageError(f"free is {', '.join(PRESETS)}, names or a dict, not {free!r}")
        free = usual if free == "stage_a" else {}
    elif not isinstance(free, dict):
        free = {name: usual.get(name, "log") for name in free}
    return [_Change(name, experiment[name], how) for name, how in free.items()]


class ExperimentModel:
    """An experiment whose free parameters follow from one vector x; at x = 0 it is the given one.

    experiment : Experiment
    free : "stage_a", "frozen", names, or a dict of name to "log" or a bound
        "stage_a": cell (lengths by a factor exp(x), angles within 10 degrees), misset (10 degrees),
        distance (factor), detector_rotation and two_theta (5 degrees), beam_center (5 pixels),
        fluence and mosaic_spread (factors), as far as the experiment has them, or what it has
        instead: close_distance, near_point or org, flux; "frozen": nothing.
        Names change as in stage A, or by a factor.  In a dict "log" means base * exp(x), a number
        base + number * tanh(x), in the unit of the parameter; a sequence has one for each number.

    Any optimiser of a vector works with it:

        model = nb.ExperimentModel(experiment)
        scipy.optimize.minimize(model.value_and_gradient, model.start, args=(loss,), jac=True)

    nablabragg.torch.ExperimentModel is the same as a torch module.
    """

    def __init__(self, experiment, free="stage_a"):
        self._experiment = experiment
        self._changes = changes_of(experiment, free)

    @property
    def names(self):
        """tuple of str: the free parameters, in the order of x."""
        return tuple(change.name for change in self._changes)

    @property
    def columns(self):
        """tuple of str: what each number of x moves: 'cell[0]', ..., 'distance'."""
        return tuple(
            f"{change.name}[{index}]" if change.base.shape else change.name
            for change in self._changes
            for index in range(change.base.size)
        )

    @property
    def start(self):
        """float64 array (n,) of zeros."""
        return np.zeros(sum(change.base.size for change in self._changes))

    def _split(self, x):
        x = np.asarray(x, float)
        if x.shape != self.start.shape:
            raise _core.UsageError(f"x needs the shape {self.start.shape}, not {x.shape}")
        ends = np.cumsum([change.base.size for change in self._changes])[:-1]
        parts = np.split(x, ends) if self._changes else []
        return [part.reshape(change.base.shape) for part, change in zip(parts, self._changes)]

    def values(self, x):
        """dict of name to float or array: the free parameters at x, in their units."""
        return {
            change.name: change.value(part)[()]
            for change, part in zip(self._changes, self._split(x))
        }

    def experiment(self, x):
        """The Experiment at x."""
        return self._experiment.replace(**self.values(x))

    def simulate(self, x, **options):
        """The image at x; options as nablabragg.simulate() takes them."""
        return simulate(self.experiment(x), **options)

    def gradient(self, x, named):
        """d(value)/dx, shape (n,), from a gradient by name as value_and_gradient() gives it."""
        parts = [
            np.ravel(named[change.name] * change.slope(part))
            for change, part in zip(self._changes, self._split(x))
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def value_and_gradient(self, x, loss, **options):
        """(value, d(value)/dx of shape (n,)) of weights or a loss function of the image.

        loss and options as nablabragg.value_and_gradient() takes them.
        """
        value, named = value_and_gradient(self.experiment(x), loss, **options)
        return value, self.gradient(x, named)
