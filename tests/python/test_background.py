"""Matter in the beam from Python."""

import numpy as np
import pytest

import nablabragg as nb
from models import model


def test_materials_add_their_light_and_each_has_derivatives(tmp_path):
    table = tmp_path / "w.stol"
    table.write_text("0 2.5\n0.16 8\n0.3 4.3\n0.7 3\n")
    water = nb.read_background(table, thickness=0.2, density=1, molar_mass=18)
    materials = (water, nb.compton_of("H2O", water), *nb.gas_in_beam(-5, 20), nb.ice_rings(3))
    e = model(materials=materials)
    lit, dark = (nb.simulate(x, dtype="float64") for x in (e, model()))
    alone = [nb.simulate(model(materials=[m]), dtype="float64") - dark for m in materials]
    assert np.allclose(lit, dark + sum(alone), rtol=1e-12)
    assert all(light.min() >= 0 and light.max() > 0 for light in alone)

    value, gradient = nb.value_and_gradient(e, np.ones((32, 32)), dtype="float64")
    assert value == pytest.approx(lit.sum(), rel=1e-12)
    # Light is linear in thickness and density
    assert gradient["material[0].thickness"] == pytest.approx(alone[0].sum() / 0.2, rel=1e-9)
    assert gradient["material[1].density"] == pytest.approx(alone[1].sum(), rel=1e-9)
    ends = [
        nb.simulate(model(materials=nb.gas_in_beam(-5, end, compton=False)), dtype="float64").sum()
        for end in (19.99, 20.01)
    ]
    assert gradient["material[2].end"] == pytest.approx((ends[1] - ends[0]) / 0.02, rel=1e-6)


def test_materials_come_back_from_dictionaries_json_and_pickles():
    import pickle

    e = model(materials=nb.gas_in_beam(-5, 20, gas="helium", pressure=50))
    for again in (nb.from_dict(nb.to_dict(e)), pickle.loads(pickle.dumps(e))):
        assert again.materials == e.materials
        assert np.array_equal(nb.simulate(again), nb.simulate(e))
    assert [m.name for m in e.materials] == ["helium", "Compton scattering of helium"]
    assert e.materials[0].start == -5 and e.materials[0].end == 20


def test_what_is_no_material_is_answered_with_a_sentence():
    with pytest.raises(TypeError, match="stol needs a list of numbers"):
        nb.Material(stol=3, F=[1])
    with pytest.raises(nb.UsageError, match='the material "x" has 2 rows'):
        model(materials=[nb.Material(name="x", stol=[0, 1], F=[1])])
    with pytest.raises(nb.UsageError, match='gas is one of "air", "helium", not "argon"'):
        nb.gas_in_beam(-5, 5, gas="argon")
    with pytest.raises(nb.UsageError, match="begins before it ends"):
        nb.gas_in_beam(5, -5)
    with pytest.raises(nb.UsageError, match="is no chemical formula"):
        nb.compton_of("water", nb.Material())
    with pytest.raises(nb.UsageError, match="two edges"):
        nb.ice_rings(3, cell=(4.5,))
    with pytest.raises(nb.UsageError, match="thickness .* must be positive"):
        nb.ice_rings(0)
