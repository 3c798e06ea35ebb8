"""An experiment from nanoBragg's command line."""

import shlex

from nablabragg import _core


def parse(command_line, *, notices=None):
    """The experiment that a nanoBragg command line describes.

    command_line : str, split as a shell does, or a sequence of arguments
        flags as `nablabragg -help` lists them; without -corrected the mode is "compat".  The files
        they name are read.  Flags of outputs and of how to compute have no effect, which is a
        SimulationWarning.
    notices : list or None
        what was decided, and the quirks that touch this experiment, are appended as sentences; without
        it, doubts about flags and files are each a SimulationWarning

    Raises UsageError for unknown flags and their like, InputError for files.
    """
    if isinstance(command_line, str):
        command_line = shlex.split(command_line.replace("\\\n", " "))
    return _core.parse([str(argument) for argument in command_line], notices)
