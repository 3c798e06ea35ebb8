"""Experiments as dictionaries that JSON can hold."""

import base64
import math
import zlib
from collections.abc import Mapping

import numpy as np

from nablabragg import _core

_SCHEMA, _VERSION = "nablabragg.experiment-dict", 1

_PARTS = {
    "crystal": _core.Crystal,
    "beam": _core.Beam,
    "detector": _core.Detector,
    "scan": _core.Scan,
    "sampling": _core.Sampling,
    "structure_factors": _core.StructureFactors,
    "beamstop": _core.Beamstop,
}
_LISTS = {
    "more_crystals": _core.FurtherCrystal,
    "more_panels": _core.FurtherPanel,
    "detector_groups": _core.DetectorGroup,
    "materials": _core.Material,
}


def _plain(value):
    if isinstance(value, np.ndarray):
        little = value.astype(value.dtype.newbyteorder("<"))
        return {
            "shape": list(value.shape),
            "dtype": little.dtype.str,
            "zlib": base64.b64encode(zlib.compress(little.tobytes())).decode("ascii"),
        }
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if value == math.inf:
        return "inf"
    if hasattr(value, "fields"):
        return {name: _plain(getattr(value, name)) for name in value.fields}
    return value


def _value(plain, name):
    if not isinstance(plain, dict) or "zlib" not in plain:
        return plain
    try:
        dtype = np.dtype(plain["dtype"])
        if dtype.kind not in "biuf":
            raise ValueError(f"{dtype} are no numbers")
        data = zlib.decompress(base64.b64decode(plain["zlib"], validate=True))
        return np.frombuffer(data, dtype).reshape(plain["shape"])
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise _core.InputError(f"{name} is no array that to_dict() wrote: {error}") from None


def _made(part, plain, name):
    values = {key: _value(value, f"{name}.{key}") for key, value in plain.items()}
    if isinstance(values.get("detector"), dict):
        values["detector"] = _made(_core.Detector, values["detector"], f"{name}.detector")
    return part(**values)


def to_dict(experiment):
    """The experiment as a dict of dicts of numbers, lists, strings and None: json.dumps() takes it.

    Tables and masks are compressed and written in base64.  A part of an experiment gives its own
    dict, without "schema" and "version".
    """
    kind = {"schema": _SCHEMA, "version": _VERSION} if isinstance(experiment, _core.Experiment) else {}
    return kind | _plain(experiment)


def from_dict(dictionary):
    """The experiment of a dict that to_dict() made; what is left out has its default.

    Raises TypeError for names that are no fields, InputError for another schema and for arrays that
    cannot be unpacked, UsageError for what describes no experiment.
    """
    if not isinstance(dictionary, Mapping):
        raise TypeError(f"from_dict() needs a dict, not a {type(dictionary).__name__}")
    fields = dict(dictionary)
    for key, known in (("schema", _SCHEMA), ("version", _VERSION)):
        given = fields.pop(key, known)
        if given != known:
            raise _core.InputError(f"{key} is {given!r}, and from_dict() reads {known!r}")
    for name, part in _PARTS.items():
        if isinstance(fields.get(name), dict):
            fields[name] = _made(part, fields[name], name)
    for name, part in _LISTS.items():
        if isinstance(fields.get(name), list):
            fields[name] = [
                _made(part, item, f"{name}[{i}]") if isinstance(item, dict) else item
                for i, item in enumerate(fields[name])
            ]
    return _core.Experiment(**fields)


def _from_json(text, *, structure_factors=None):
    """The experiment of a text that to_json() made; what is left out has its default.

    structure_factors : StructureFactors
        whose table F the experiment has, where it has one

    Raises InputError, which names the key, for text that is no experiment and for another table,
    UsageError for what describes no experiment.
    """
    return _core.experiment_from_json(text, structure_factors)


_from_json.__name__ = "from_json"
_from_json.__qualname__ = "Experiment.from_json"
_core.Experiment.from_json = staticmethod(_from_json)
