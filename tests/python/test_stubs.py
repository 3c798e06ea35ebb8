"""The type stubs say what the module has."""

import ast
import pathlib
import re

import pytest

import nablabragg as nb

STUB_TEXT = pathlib.Path(nb.__file__).with_name("__init__.pyi").read_text()
STUB = ast.parse(STUB_TEXT)
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
VALUES = {node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign)} - {"__version__"}


def test_every_public_name_has_a_stub_and_no_other_has():
    assert set(CLASSES) | set(FUNCTIONS) | VALUES == set(nb.__all__)


PARTS = [name for name in CLASSES if hasattr(getattr(nb, name), "fields")]
FLOATS = "tuple[float, float, float, float, float{}]"

# What a field's documentation says that it holds: what a keyword takes, what the property is
KINDS = {
    "number": ("float", "float"),
    "int": ("int", "int"),
    "bool": ("bool", "bool"),
    "3 numbers": ("Vector | float", "Triple"),
    "3 x 3 numbers": ("ArrayLike", "tuple[Triple, Triple, Triple]"),
    "6 numbers": ("Vector", FLOATS.format(", float")),
    "3 ints": ("Sequence[int]", "tuple[int, int, int]"),
    "SampledRange": ("Range", "SampledRange"),
    "(fast, slow), or one int for both": ("tuple[int, int] | int", "tuple[int, int]"),
    "(fast, slow), or one number for both": ("tuple[float, float] | float", "tuple[float, float]"),
    "(horizontal, vertical), or one number for both": ("tuple[float, float] | float", "tuple[float, float]"),
    "(underload, saturation)": (
        "Sequence[float | None] | NDArray[Any]",
        "tuple[float | None, float | None]",
    ),
    "(x, y)": ("Sequence[float | None] | NDArray[Any]", "tuple[float | None, float | None]"),
    "(fast_min, fast_max, slow_min, slow_max)": ("tuple[int, int, int, int]",) * 2,
    "rows of 5 numbers: x, y, z, weight, wavelength": (
        "ArrayLike | None",
        f"tuple[{FLOATS.format('')}, ...]",
    ),
    "bool array (slow, fast)": ("ArrayLike", "NDArray[np.bool_]"),
    "array (h, k, l)": ("ArrayLike", "NDArray[np.float64]"),
    "list of FurtherCrystal": ("Sequence[FurtherCrystal]", "tuple[FurtherCrystal, ...]"),
    "list of FurtherPanel": ("Sequence[FurtherPanel]", "tuple[FurtherPanel, ...]"),
    "list of DetectorGroup": ("Sequence[DetectorGroup]", "tuple[DetectorGroup, ...]"),
    "list of Material": ("Sequence[Material]", "tuple[Material, ...]"),
    "numbers": ("ArrayLike", "tuple[float, ...]"),
    "StructureFactors, or a number: default_F": ("StructureFactors | float", "StructureFactors"),
    '"corrected", "compat" or identifiers such as "Q-01"': (
        "Mode",
        'Literal["corrected", "compat"] | tuple[str, ...]',
    ),
}


SHARED = {
    '"uniform", "gaussian"': "Distribution",
    '"linear", "cubic", "nonbragg"': "MaterialInterpolation",
    '"cell", "reciprocal", "round"': "SpotMetric",
    '"edge", "cells"': "BlockSizeFixed",
    '"liquid", "rigid"': "DiffuseMotion",
}


def types_of(name, kind):
    """What a keyword takes, and what the property is."""
    kind, optional = re.subn(" or None$", "", re.sub(r" \[.*?\]", "", kind))
    if kind not in KINDS and kind.startswith('"'):
        alias = SHARED.get(kind, name.capitalize())
        assert STUB_TEXT.count(f"\n{alias} = Literal[{kind}]\n") == 1, (alias, kind)
        types = alias, alias
    else:
        types = KINDS.get(kind, (kind, kind))
    takes, is_one = (one + " | None" if optional else one for one in types)
    return takes.replace("Range | None", "Range"), is_one


def stub_of(name):
    """The constructor and the properties of a part, from its documentation."""
    documentation = getattr(nb, name).__doc__
    kinds = dict(re.findall(r"^(\w+) : (.+)$", documentation, re.MULTILINE))
    keywords, properties = [], []
    for field in getattr(nb, name).fields:
        takes, is_one = types_of(field, kinds[field])
        default = re.search(rf"[ (]{field}=('\w*'|[\w.+-]+)[,)]", documentation)
        value = default[1].replace("'", '"') if default else "..."
        keywords.append(f"{field}: {takes} = {value}")
        properties.append(f"    @property\n    def {field}(self) -> {is_one}: ...\n")
    init = ",\n        ".join(["self", "*", *keywords])
    return f"    def __init__(\n        {init},\n    ) -> None: ...\n" + "".join(properties)


def methods_of(class_node):
    return {m.name: ast.unparse(m) for m in class_node.body if isinstance(m, ast.FunctionDef)}


@pytest.mark.parametrize("name", PARTS)
def test_the_stub_of_a_part_has_the_names_types_and_defaults_of_its_fields(name):
    wanted = methods_of(ast.parse(f"class {name}:\n{stub_of(name)}").body[0])
    there = methods_of(CLASSES[name])
    assert {method: there.get(method) for method in wanted} == wanted, "should be\n" + stub_of(name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_documentation_of_a_function_begins_with_what_it_is_called_with(name):
    function = getattr(nb, name)
    assert function.__doc__
    arguments = FUNCTIONS[name].args
    if function.__doc__.startswith(name + "("):
        signature = function.__doc__.splitlines()[0]
        for argument in arguments.args + arguments.kwonlyargs:
            assert argument.arg in signature
