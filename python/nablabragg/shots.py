"""The shots of an ensemble (nablabragg ensemble), as arrays: read from its folder, or made when asked for.

    shots = nablabragg.shots.Shots("folder")
    shots = nablabragg.shots.Ensemble("ensemble.yaml")
    shots[17].counts, shots[17].labels["orientation"], shots[17].reflections["hkl"]

Shots reads HDF5 by h5py (Debian: python3-h5py), which nothing else here needs.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nablabragg import _core


@dataclass(frozen=True)
class Shot:
    index: int
    counts: np.ndarray  #: int32 (slow, fast), panels below each other; float32 where the readout is photons
    labels: dict[str, np.ndarray]  #: of docs/ensembles.md, by name
    reflections: dict[str, np.ndarray]  #: a row each; empty where the description asks for none
    spot_mask: np.ndarray | None = None  #: uint8, as counts; None where the description asks for none


class Shots:
    """The shots of a folder, of whatever shards are complete there, in their order, or of its one file.

    A shot is read when it is asked for.  It may be copied to other processes, which open the files
    anew.  Raises FileNotFoundError where there is no complete shard.
    """

    def __init__(self, folder: str | os.PathLike):
        import h5py

        self.folder = Path(folder)
        self._paths = sorted(self.folder.glob("shard_*.nxs"))
        if not self._paths:
            self._paths = [path for path in [self.folder / "all.nxs"] if _holds_shots(path)]
        if not self._paths:
            raise FileNotFoundError(f"{self.folder} holds no shard_*.nxs; nablabragg ensemble makes them")
        ends, self._names, self._has_reflections = [], [], False
        for path in self._paths:
            with h5py.File(path) as file:
                ends.append((ends[-1] if ends else 0) + len(file["shots/index"]))
                names = [name for name, item in file["shots"].items() if isinstance(item, h5py.Dataset)]
                self._names = [name for name in names if name != "spot_mask"]
                self._has_masks = "spot_mask" in names
                self._has_reflections = "reflections" in file["shots"]
        self._ends = ends
        self._open: tuple[int, object] | None = None  # the last shard that was read
        self._tables: dict[int, dict] = {}

    def __len__(self) -> int:
        return self._ends[-1]

    def __getstate__(self):
        return {**self.__dict__, "_open": None, "_tables": {}}

    def __getitem__(self, number: int) -> Shot:
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are {len(self)} shots, and {number} is none of them")
        number %= len(self)
        shard = bisect_right(self._ends, number)
        row = number - (self._ends[shard - 1] if shard else 0)
        file, table = self._shard(shard)
        labels = {name: table[name][row] for name in self._names}
        reflections = {}
        if self._has_reflections:
            of_shot = table["reflections/shot"]
            begin, end = np.searchsorted(of_shot, [labels["index"], labels["index"] + 1])
            reflections = {
                name.removeprefix("reflections/"): table[name][begin:end]
                for name in table
                if name.startswith("reflections/") and name != "reflections/shot"
            }
        mask = file["shots/spot_mask"][row] if self._has_masks else None
        return Shot(int(labels["index"]), file["entry/data/data"][row], labels, reflections, mask)

    def label_names(self) -> list[str]:
        """Of a shot, "spot_mask" among them where it has one."""
        return self._names + ["spot_mask"] * self._has_masks

    def in_turn(self, numbers, *, threads: int = 0):
        """Shots in this order, one at a time."""
        return (self[int(number)] for number in numbers)

    def labels(self, name: str) -> np.ndarray:
        """One label of all shots.  Raises KeyError where there is none of this name."""
        if name not in self._names:
            raise KeyError(f"the shots have no label {name}; they have {', '.join(self._names)}")
        return np.concatenate([self._shard(i)[1][name] for i in range(len(self._paths))])

    def _shard(self, number):
        import h5py

        if self._open is None or self._open[0] != number:
            self._open = (number, h5py.File(self._paths[number]))
        file = self._open[1]
        if number not in self._tables:
            names = list(self._names)
            if self._has_reflections:
                names += [f"reflections/{name}" for name in file["shots/reflections"]]
            self._tables[number] = {name: file["shots"][name][...] for name in names}
        return file, self._tables[number]


def _holds_shots(path: Path) -> bool:
    """Whether the file of all shots has them in it, and not in shards."""
    import h5py

    if not path.exists():
        return False
    with h5py.File(path) as file:
        return not file["entry/data/data"].is_virtual


class Ensemble:
    """The shots of a description (docs/ensembles.md), each made when it is asked for.

    A shot has the bits that `nablabragg ensemble` writes, whatever is made with it.  Names of files
    in the description are from the current folder.  It may be copied to other processes, which read
    the description anew.  Raises InputError, by line and key, for what is no description; where a
    shot is no experiment, making it raises UsageError.
    """

    _at_a_time = 64  # so many images are in memory together

    def __init__(self, description: str | os.PathLike):
        self.description = Path(description).absolute()
        self._maker = _core.ShotMaker(str(self.description))

    def __len__(self) -> int:
        return len(self._maker)

    def __getstate__(self):
        return self.description

    def __setstate__(self, description):
        self.__init__(description)

    def __getitem__(self, number: int) -> Shot:
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are {len(self)} shots, and {number} is none of them")
        return self.made([number % len(self)])[0]

    def made(self, numbers, *, threads: int = 0) -> list[Shot]:
        """Several shots, in this order; small images are made side by side by all threads (0: of the machine)."""
        return [Shot(*parts) for parts in self._maker.make([int(n) for n in numbers], threads)]

    def in_turn(self, numbers, *, threads: int = 0):
        """Shots in this order, made some at a time."""
        for first in range(0, len(numbers), self._at_a_time):
            yield from self.made(numbers[first : first + self._at_a_time], threads=threads)

    def label_names(self) -> list[str]:
        """Of a shot, "spot_mask" among them where it has one."""
        return self._maker.labels()


def share_of(numbers: np.ndarray, seed: int | None, epoch: int, part: int, parts: int) -> np.ndarray:
    """Which of the numbers one of several readers takes: every `parts`-th one, shuffled before by
    seed and epoch where there is a seed.  All parts together are all numbers, each once."""
    if seed is not None:
        numbers = np.random.default_rng([seed, epoch]).permutation(numbers)
    return numbers[part::parts]
