"""Methods of the compiled classes as functions, so that inspect.signature() and editors show what they take."""

import functools
import inspect

from nablabragg import _core

_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def _with_signature(owner, name, *parameters):
    method = getattr(owner, name)

    @functools.wraps(method)
    def function(self, /, *positional, **keywords):
        return method(self, *positional, **keywords)

    self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    function.__signature__ = inspect.Signature([self, *parameters])
    setattr(owner, name, function)


for _part in vars(_core).copy().values():
    if isinstance(_part, type) and hasattr(_part, "fields") and _part is not _core.Experiment:
        # A field that is left out keeps its value.
        _with_signature(_part, "replace", *(inspect.Parameter(name, _KEYWORD, default=...) for name in _part.fields))
_with_signature(_core.Experiment, "replace", inspect.Parameter("changes", inspect.Parameter.VAR_KEYWORD))
_with_signature(_core.Experiment, "to_json", inspect.Parameter("response", _KEYWORD, default=None))
_with_signature(_core.Spectra, "shot", inspect.Parameter("i", inspect.Parameter.POSITIONAL_OR_KEYWORD))
_with_signature(_core.Spectra, "mean")
