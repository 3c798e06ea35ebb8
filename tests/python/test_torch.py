"""Images as functions of torch tensors."""

import numpy as np
import pytest

import nablabragg as nb

torch = pytest.importorskip("torch", reason="torch is not installed (Debian: python3-torch)")
nbt = pytest.importorskip("nablabragg.torch")


@pytest.fixture
def tiny():
    return nb.Experiment(
        crystal=nb.Crystal(
            cell=(50, 60, 70, 85, 95, 105), misset=(10, 20, 30), cells=3,
            mosaic_spread=0.5, mosaic_domains=3,
        ),
        detector=nb.Detector(pixels=(4, 3), pixel_size=6.0, distance=90),
        beam=nb.Beam(fluence=1e29),
        sampling=nb.Sampling(oversample=1),
        structure_factors=100,
    )  # fmt: skip


def tensors(experiment, *names):
    return [torch.tensor(experiment[name], dtype=torch.float64, requires_grad=True) for name in names]


# Rotations of mosaic domains are rounded to float32, so their differences need a large step.
@pytest.mark.parametrize(
    "names, eps, rtol",
    [
        (("cell",), 1e-6, 1e-5),
        (("misset",), 1e-6, 1e-5),
        (("distance", "beam_center"), 1e-6, 1e-5),
        (("wavelength",), 1e-7, 1e-5),
        (("detector_rotation", "two_theta"), 1e-6, 1e-5),
        (("mosaic_spread",), 1e-3, 1e-3),
    ],
)
def test_gradcheck_passes_in_float64(tiny, names, eps, rtol):
    def image(*values):
        return nbt.simulate(tiny, dict(zip(names, values)))

    scale = nb.simulate(tiny).max()
    assert torch.autograd.gradcheck(
        image, tensors(tiny, *names), eps=eps, atol=1e-6 * scale, rtol=rtol, check_forward_ad=True
    )


def test_gradcheck_passes_through_a_detector(tiny):
    response = nb.DetectorResponse("counting", point_spread="gauss", fwhm=9000, calibration=0.1)
    light = torch.rand(tiny.shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda photons: nbt.expected_counts(tiny, photons, response), (light,))
    distance = torch.tensor(90.0, dtype=torch.float64, requires_grad=True)
    nbt.expected_counts(tiny, nbt.simulate(tiny, {"distance": distance}), response).sum().backward()
    _, gradient = nb.value_and_gradient(tiny, np.ones(tiny.shape), response=response)
    assert distance.grad.item() == pytest.approx(gradient["distance"], rel=1e-9)


def test_gradients_reach_amplitudes(tiny):
    table = nb.StructureFactors(F=np.full((31, 31, 31), 100.0))
    experiment = tiny.replace(structure_factors=table)
    F = torch.tensor(experiment["F"], requires_grad=True)
    image = nbt.simulate(experiment, {"F": F})
    image.sum().backward()
    assert (F.grad * F).sum().item() == pytest.approx(2 * image.sum().item(), rel=1e-6)


def test_gradients_are_those_of_the_module(tiny):
    cell, distance = tensors(tiny, "cell", "distance")
    image = nbt.simulate(tiny, {"cell": cell, "distance": distance})
    assert image.dtype == torch.float64 and image.shape == (3, 4)
    weights = torch.linspace(-1, 2, 12, dtype=torch.float64).reshape(3, 4)
    (weights * image).sum().backward()
    _, gradient = nb.value_and_gradient(tiny, weights.numpy())
    assert np.allclose(cell.grad, gradient["cell"], rtol=1e-12)
    assert distance.grad.item() == pytest.approx(gradient["distance"], rel=1e-12)


def test_float32_tensors_give_float32_images(tiny):
    distance = torch.tensor(90.0, requires_grad=True)
    image = nbt.simulate(tiny, {"distance": distance}, pixels=[(0, 0), (2, 3)])
    assert image.dtype == torch.float32 and image.shape == (2,)
    image.sum().backward()
    assert distance.grad.dtype == torch.float32 and distance.grad != 0


def test_without_parameters_an_image_is_just_an_image(tiny):
    image = nbt.simulate(tiny)
    assert not image.requires_grad
    assert np.array_equal(image.numpy(), nb.simulate(tiny))


def test_a_model_is_a_module_that_begins_at_the_experiment(tiny):
    model = nbt.ExperimentModel(tiny)
    assert {name.split(".")[1] for name, _ in model.named_parameters()} == set(
        nb.ExperimentModel(tiny).names
    )
    assert np.allclose(model().detach().numpy(), nb.simulate(tiny, dtype="float64"))
    assert list(nbt.ExperimentModel(tiny, "frozen").parameters()) == []
    assert nbt.ExperimentModel(tiny, "frozen")().shape == (3, 4)


def test_the_gradient_of_a_model_is_that_of_the_vector_model(tiny):
    weights = np.linspace(-1, 2, 12).reshape(3, 4)
    vector = nb.ExperimentModel(tiny)
    _, expected = vector.value_and_gradient(vector.start, weights)
    model = nbt.ExperimentModel(tiny)
    (torch.tensor(weights) * model()).sum().backward()
    found = np.concatenate([np.ravel(model.x[name].grad) for name in vector.names])
    assert np.allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_torch_is_imported_by_its_own_module_only():
    import subprocess
    import sys

    subprocess.run(
        [sys.executable, "-c", "import sys, nablabragg; assert 'torch' not in sys.modules"],
        check=True,
    )


def test_a_loss_that_is_nan_gives_nan_gradients(tiny):
    for dtype in (torch.float32, torch.float64):
        misset = torch.tensor(tiny["misset"], dtype=dtype, requires_grad=True)
        (nbt.simulate(tiny, {"misset": misset}) * float("nan")).sum().backward()
        assert misset.grad.isnan().all()
        model = nbt.ExperimentModel(tiny, dtype=dtype)
        (model() * float("inf")).sum().backward()
        assert all(x.grad.isnan().all() for x in model.parameters())


def test_what_is_no_tensor_is_a_type_error(tiny):
    with pytest.raises(TypeError, match="misset needs a tensor, not a list"):
        nbt.simulate(tiny, {"misset": [1.0, 2.0, 3.0]})
    with pytest.raises(TypeError, match="parameters needs a dict of names to tensors, not a Tensor"):
        nbt.simulate(tiny, torch.zeros(3))
    with pytest.raises(TypeError, match="experiment needs an Experiment, not a dict"):
        nbt.simulate({}, {"misset": torch.zeros(3)})
    with pytest.raises(TypeError, match="misset needs real numbers"):
        nbt.simulate(tiny, {"misset": torch.zeros(3, dtype=torch.complex64)})


def test_a_gradient_of_a_gradient_is_refused_in_plain_words(tiny):
    misset = torch.tensor(tiny["misset"], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(
        nbt.simulate(tiny, {"misset": misset}).sum(), misset, create_graph=True
    )
    _, expected = nb.value_and_gradient(tiny, np.ones((3, 4)))
    assert np.allclose(slope.detach(), expected["misset"])
    with pytest.raises(RuntimeError, match="differentiable once: .* no gradient of a gradient"):
        slope.sum().backward()
    (slope,) = torch.autograd.grad(
        (nbt.simulate(tiny, {"misset": misset}) ** 2).sum(), misset, create_graph=True
    )
    with pytest.raises(RuntimeError, match="differentiable once"):
        slope.sum().backward()
