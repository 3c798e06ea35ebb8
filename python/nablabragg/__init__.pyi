from dataclasses import dataclass
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, NamedTuple, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

__version__: str
no_pixels: tuple[int, int, int, int]

Vector = Union[Sequence[float], NDArray[Any]]
Range = Union["SampledRange", float, tuple[float, int], Mapping[str, float], None]
Dtype = Union[Literal["float32", "float64"], np.dtype[Any], type]
Engine = Literal["cpu", "reference"]
MaterialInterpolation = Literal["linear", "cubic", "nonbragg"]
Process = Literal["coherent", "compton"]
Device = Literal["cpu", "auto"]
Summation = Literal["auto", "closed", "sampled"]
Distribution = Literal["uniform", "gaussian"]
Progress = Callable[[float], Any]
Convention = Literal["adxv", "mosflm", "denzo", "xds", "dials", "custom"]
Pivot = Literal["beam", "sample"]
Shape = Literal["square", "round", "gauss", "tophat"]
SpotMetric = Literal["cell", "reciprocal", "round"]
BlockSizeFixed = Literal["edge", "cells"]
DiffuseMotion = Literal["liquid", "rigid"]
Interpolation = Literal["automatic", "nearest", "tricubic"]
Mode = Union[Literal["corrected", "compat"], Sequence[str]]
Triple = tuple[float, float, float]

class Error(Exception): ...
class UsageError(Error, ValueError): ...
class InputError(Error): ...
class OutputError(Error): ...
class DeviceError(Error): ...
class Cancelled(Error): ...
class SimulationWarning(UserWarning): ...

class SampledRange:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        range: float | None = None,
        step: float | None = None,
        steps: int | None = None,
    ) -> None: ...
    @property
    def range(self) -> float | None: ...
    @property
    def step(self) -> float | None: ...
    @property
    def steps(self) -> int | None: ...
    def replace(self, **fields: Any) -> SampledRange: ...

class Crystal:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        cell: Vector | None = None,
        a_matrix: ArrayLike | None = None,
        misset: Vector | float = ...,
        misset_seed: int | None = None,
        cells: Vector | float = ...,
        size: Vector | float = ...,
        blocks: float = 1.0,
        block_size: float = 0.0,
        block_size_spread: float = 0.0,
        block_size_fixed: BlockSizeFixed = "edge",
        shape: Shape = "square",
        fudge: float = 1.0,
        spot_metric: SpotMetric | None = None,
        mosaic_spread: float | None = None,
        mosaic_model: Distribution = "uniform",
        mosaic_spread_axes: Vector | float | None = None,
        mosaic_domains: int | None = None,
        mosaic_seed: int = 12345678,
        cell_spread: Vector | float | None = None,
        cell_angle_spread: Vector | float | None = None,
        diffuse_sigma: Vector | float = ...,
        diffuse_gamma: Vector | float = ...,
        diffuse_motion: DiffuseMotion = "liquid",
        diffuse_in_F: bool = False,
        diffuse_stencil: int = 1,
        diffuse_error: float = 0.0,
    ) -> None: ...
    @property
    def cell(self) -> tuple[float, float, float, float, float, float] | None: ...
    @property
    def a_matrix(self) -> tuple[Triple, Triple, Triple] | None: ...
    @property
    def misset(self) -> Triple: ...
    @property
    def misset_seed(self) -> int | None: ...
    @property
    def cells(self) -> Triple: ...
    @property
    def size(self) -> Triple: ...
    @property
    def blocks(self) -> float: ...
    @property
    def block_size(self) -> float: ...
    @property
    def block_size_spread(self) -> float: ...
    @property
    def block_size_fixed(self) -> BlockSizeFixed: ...
    @property
    def shape(self) -> Shape: ...
    @property
    def fudge(self) -> float: ...
    @property
    def spot_metric(self) -> SpotMetric | None: ...
    @property
    def mosaic_spread(self) -> float | None: ...
    @property
    def mosaic_model(self) -> Distribution: ...
    @property
    def mosaic_spread_axes(self) -> Triple | None: ...
    @property
    def mosaic_domains(self) -> int | None: ...
    @property
    def mosaic_seed(self) -> int: ...
    @property
    def cell_spread(self) -> Triple | None: ...
    @property
    def cell_angle_spread(self) -> Triple | None: ...
    @property
    def diffuse_sigma(self) -> Triple: ...
    @property
    def diffuse_gamma(self) -> Triple: ...
    @property
    def diffuse_motion(self) -> DiffuseMotion: ...
    @property
    def diffuse_in_F(self) -> bool: ...
    @property
    def diffuse_stencil(self) -> int: ...
    @property
    def diffuse_error(self) -> float: ...
    def replace(self, **fields: Any) -> Crystal: ...

class FurtherCrystal:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        misset: Vector | float = ...,
        weight: float = 1.0,
        cells: Vector | float | None = None,
        mosaic_spread: float | None = None,
    ) -> None: ...
    @property
    def misset(self) -> Triple: ...
    @property
    def weight(self) -> float: ...
    @property
    def cells(self) -> Triple | None: ...
    @property
    def mosaic_spread(self) -> float | None: ...
    def replace(self, **fields: Any) -> FurtherCrystal: ...

class Beam:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        wavelength: float = 1.0,
        direction: Vector | float | None = None,
        tilt: tuple[float, float] | float = ...,
        polarization_correction: bool = True,
        polarization: float = 0.0,
        polarization_axis: Vector | float | None = None,
        fluence: float = 1.2593201528622709e+29,
        flux: float | None = None,
        exposure: float = 1.0,
        size: float | None = None,
        horizontal_divergence: Range = None,
        vertical_divergence: Range = None,
        divergence_model: Distribution = "uniform",
        round_divergence: bool = True,
        dispersion: Range = None,
        spectrum_model: Distribution = "uniform",
        sources: ArrayLike | None = ...,
    ) -> None: ...
    @property
    def wavelength(self) -> float: ...
    @property
    def direction(self) -> Triple | None: ...
    @property
    def tilt(self) -> tuple[float, float]: ...
    @property
    def polarization_correction(self) -> bool: ...
    @property
    def polarization(self) -> float: ...
    @property
    def polarization_axis(self) -> Triple | None: ...
    @property
    def fluence(self) -> float: ...
    @property
    def flux(self) -> float | None: ...
    @property
    def exposure(self) -> float: ...
    @property
    def size(self) -> float | None: ...
    @property
    def horizontal_divergence(self) -> SampledRange | None: ...
    @property
    def vertical_divergence(self) -> SampledRange | None: ...
    @property
    def divergence_model(self) -> Distribution: ...
    @property
    def round_divergence(self) -> bool: ...
    @property
    def dispersion(self) -> SampledRange | None: ...
    @property
    def spectrum_model(self) -> Distribution: ...
    @property
    def sources(self) -> tuple[tuple[float, float, float, float, float], ...]: ...
    def replace(self, **fields: Any) -> Beam: ...

class Detector:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        name: str = "",
        group: str = "",
        convention: Convention = "mosflm",
        pixels: tuple[int, int] | int = ...,
        size: tuple[float, float] | float = ...,
        pixel_size: float = 0.1,
        slow_pixel_size: float | None = None,
        distance: float = 100.0,
        close_distance: float | None = None,
        beam_center: Sequence[float | None] | NDArray[Any] | None = None,
        near_point: Sequence[float | None] | NDArray[Any] | None = None,
        org: Sequence[float | None] | NDArray[Any] | None = None,
        origin: Vector | float | None = None,
        fast_axis: Vector | float | None = None,
        slow_axis: Vector | float | None = None,
        normal: Vector | float | None = None,
        two_theta_axis: Vector | float | None = None,
        rotation: Vector | float = ...,
        two_theta: float = 0.0,
        shift: Vector | float | None = None,
        turn: Vector | float | None = None,
        curved: bool = False,
        point_pixel: bool = False,
        sensor_material: str = "",
        sensor_thickness: float = 0.0,
        attenuation_depth: float | None = None,
        sensor_layers: int | None = None,
        trusted: Sequence[float | None] | NDArray[Any] | None = None,
        gain: float = 1.0,
        pivot: Pivot | None = None,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def convention(self) -> Convention: ...
    @property
    def pixels(self) -> tuple[int, int]: ...
    @property
    def size(self) -> tuple[float, float]: ...
    @property
    def pixel_size(self) -> float: ...
    @property
    def slow_pixel_size(self) -> float | None: ...
    @property
    def distance(self) -> float: ...
    @property
    def close_distance(self) -> float | None: ...
    @property
    def beam_center(self) -> tuple[float | None, float | None] | None: ...
    @property
    def near_point(self) -> tuple[float | None, float | None] | None: ...
    @property
    def org(self) -> tuple[float | None, float | None] | None: ...
    @property
    def origin(self) -> Triple | None: ...
    @property
    def fast_axis(self) -> Triple | None: ...
    @property
    def slow_axis(self) -> Triple | None: ...
    @property
    def normal(self) -> Triple | None: ...
    @property
    def two_theta_axis(self) -> Triple | None: ...
    @property
    def rotation(self) -> Triple: ...
    @property
    def two_theta(self) -> float: ...
    @property
    def shift(self) -> Triple | None: ...
    @property
    def turn(self) -> Triple | None: ...
    @property
    def curved(self) -> bool: ...
    @property
    def point_pixel(self) -> bool: ...
    @property
    def sensor_material(self) -> str: ...
    @property
    def sensor_thickness(self) -> float: ...
    @property
    def attenuation_depth(self) -> float | None: ...
    @property
    def sensor_layers(self) -> int | None: ...
    @property
    def trusted(self) -> tuple[float | None, float | None] | None: ...
    @property
    def gain(self) -> float: ...
    @property
    def pivot(self) -> Pivot | None: ...
    def replace(self, **fields: Any) -> Detector: ...

class FurtherPanel:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        detector: Detector = ...,
        roi: tuple[int, int, int, int] | None = None,
        mask: ArrayLike | None = None,
    ) -> None: ...
    @property
    def detector(self) -> Detector: ...
    @property
    def roi(self) -> tuple[int, int, int, int] | None: ...
    @property
    def mask(self) -> NDArray[np.bool_] | None: ...
    def replace(self, **fields: Any) -> FurtherPanel: ...

class DetectorGroup:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        name: str = "",
        parent: str = "",
        origin: Vector | float = ...,
        fast_axis: Vector | float = ...,
        slow_axis: Vector | float = ...,
        shift: Vector | float = ...,
        rotation: Vector | float = ...,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def parent(self) -> str: ...
    @property
    def origin(self) -> Triple: ...
    @property
    def fast_axis(self) -> Triple: ...
    @property
    def slow_axis(self) -> Triple: ...
    @property
    def shift(self) -> Triple: ...
    @property
    def rotation(self) -> Triple: ...
    def replace(self, **fields: Any) -> DetectorGroup: ...

class Material:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        name: str = "",
        stol: ArrayLike = ...,
        F: ArrayLike = ...,
        interpolation: MaterialInterpolation = "linear",
        process: Process = "coherent",
        thickness: float = 0.0,
        start: float = 0.0,
        end: float = 0.0,
        density: float = 1.0,
        molar_mass: float = 18.015,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def stol(self) -> tuple[float, ...]: ...
    @property
    def F(self) -> tuple[float, ...]: ...
    @property
    def interpolation(self) -> MaterialInterpolation: ...
    @property
    def process(self) -> Process: ...
    @property
    def thickness(self) -> float: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def density(self) -> float: ...
    @property
    def molar_mass(self) -> float: ...
    def replace(self, **fields: Any) -> Material: ...

class Beamstop:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        distance: float = 0.0,
        radius: float = 0.0,
        offset: tuple[float, float] | float = ...,
        transmission: float = 0.0,
        arm_width: float = 0.0,
        arm_angle: float = 0.0,
        ring_share: float = 0.0,
        ring_angle: float = 0.0,
        ring_width: float = 0.0,
    ) -> None: ...
    @property
    def distance(self) -> float: ...
    @property
    def radius(self) -> float: ...
    @property
    def offset(self) -> tuple[float, float]: ...
    @property
    def transmission(self) -> float: ...
    @property
    def arm_width(self) -> float: ...
    @property
    def arm_angle(self) -> float: ...
    @property
    def ring_share(self) -> float: ...
    @property
    def ring_angle(self) -> float: ...
    @property
    def ring_width(self) -> float: ...
    def replace(self, **fields: Any) -> Beamstop: ...

class Scan:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        phi: float = 0.0,
        oscillation: Range = None,
        spindle_axis: Vector | float | None = None,
    ) -> None: ...
    @property
    def phi(self) -> float: ...
    @property
    def oscillation(self) -> SampledRange | None: ...
    @property
    def spindle_axis(self) -> Triple | None: ...
    def replace(self, **fields: Any) -> Scan: ...

class Sampling:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        oversample: int = 0,
        oversample_thick: bool = False,
        oversample_polar: bool = False,
        oversample_omega: bool = False,
        summation: Summation = "auto",
        dmin: float = 0.0,
        roi: tuple[int, int, int, int] | None = None,
        mask: ArrayLike | None = None,
    ) -> None: ...
    @property
    def oversample(self) -> int: ...
    @property
    def oversample_thick(self) -> bool: ...
    @property
    def oversample_polar(self) -> bool: ...
    @property
    def oversample_omega(self) -> bool: ...
    @property
    def summation(self) -> Summation: ...
    @property
    def dmin(self) -> float: ...
    @property
    def roi(self) -> tuple[int, int, int, int] | None: ...
    @property
    def mask(self) -> NDArray[np.bool_] | None: ...
    def replace(self, **fields: Any) -> Sampling: ...

class StructureFactors:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        F: ArrayLike | None = None,
        min: Sequence[int] | None = None,
        default_F: float = 0.0,
        interpolation: Interpolation = "automatic",
        stated_cell: Vector | None = None,
        stated_wavelength: float | None = None,
    ) -> None: ...
    @property
    def F(self) -> NDArray[np.float64] | None: ...
    @property
    def min(self) -> tuple[int, int, int] | None: ...
    @property
    def default_F(self) -> float: ...
    @property
    def interpolation(self) -> Interpolation: ...
    @property
    def stated_cell(self) -> tuple[float, float, float, float, float, float] | None: ...
    @property
    def stated_wavelength(self) -> float | None: ...
    def replace(self, **fields: Any) -> StructureFactors: ...
    @staticmethod
    def read(
        path: str | PathLike[str],
        *,
        column: str = ...,
        default_F: float = ...,
        interpolation: Interpolation = ...,
        cell: Vector | None = ...,
    ) -> StructureFactors: ...
    @staticmethod
    def from_reflections(
        hkl: ArrayLike, F: ArrayLike, *, default_F: float = ..., interpolation: Interpolation = ...
    ) -> StructureFactors: ...

class ReflectionFile:
    @property
    def hkl(self) -> NDArray[np.intc]: ...
    @property
    def F(self) -> NDArray[np.float64]: ...
    @property
    def path(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def taken(self) -> str: ...
    @property
    def anomalous(self) -> bool: ...
    @property
    def space_group(self) -> str: ...
    @property
    def cell(self) -> tuple[float, float, float, float, float, float] | None: ...
    @property
    def wavelength(self) -> float | None: ...
    @property
    def missing(self) -> int: ...
    @property
    def rejected(self) -> int: ...
    @property
    def negative(self) -> int: ...
    @property
    def repeated(self) -> int: ...
    @property
    def contradicting(self) -> int: ...
    @property
    def hands_differ(self) -> int: ...
    @property
    def notices(self) -> tuple[str, ...]: ...

class Experiment:
    fields: tuple[str, ...]
    def __init__(
        self,
        *,
        crystal: Crystal = ...,
        more_crystals: Sequence[FurtherCrystal] = ...,
        beam: Beam = ...,
        detector: Detector = ...,
        more_panels: Sequence[FurtherPanel] = ...,
        detector_groups: Sequence[DetectorGroup] = ...,
        scan: Scan = ...,
        sampling: Sampling = ...,
        structure_factors: StructureFactors | float = ...,
        water: float = 0.0,
        materials: Sequence[Material] = ...,
        beamstop: Beamstop = ...,
        mode: Mode = "corrected",
    ) -> None: ...
    @property
    def crystal(self) -> Crystal: ...
    @property
    def more_crystals(self) -> tuple[FurtherCrystal, ...]: ...
    @property
    def beam(self) -> Beam: ...
    @property
    def detector(self) -> Detector: ...
    @property
    def more_panels(self) -> tuple[FurtherPanel, ...]: ...
    @property
    def detector_groups(self) -> tuple[DetectorGroup, ...]: ...
    @property
    def scan(self) -> Scan: ...
    @property
    def sampling(self) -> Sampling: ...
    @property
    def structure_factors(self) -> StructureFactors: ...
    @property
    def water(self) -> float: ...
    @property
    def materials(self) -> tuple[Material, ...]: ...
    @property
    def beamstop(self) -> Beamstop: ...
    @property
    def mode(self) -> Literal["corrected", "compat"] | tuple[str, ...]: ...
    def __getitem__(self, name: str) -> Any: ...
    def __contains__(self, name: str) -> bool: ...
    def replace(self, **changes: Any) -> Experiment: ...
    def with_geometry(self, path: str | PathLike[str], *, number: int = ...) -> Experiment: ...
    def with_detector(
        self,
        name: str,
        *,
        distance: float,
        beam_center: tuple[float, float] | None = ...,
    ) -> Experiment: ...
    @property
    def parameters(self) -> dict[str, Union[float, NDArray[np.float64]]]: ...
    @property
    def units(self) -> dict[str, Union[str, tuple[str, ...]]]: ...
    def to_json(self, *, response: DetectorResponse | None = ...) -> str: ...
    @staticmethod
    def from_json(
        text: str, *, structure_factors: StructureFactors | None = ...
    ) -> Experiment: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def panel_shapes(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...

def calculate_structure_factors(
    path: str | PathLike[str],
    dmin: float,
    *,
    k_sol: float = ...,
    b_sol: float = ...,
    default_F: float = ...,
    interpolation: Interpolation = ...,
    anomalous: bool | Mapping[str, str | PathLike[str]] = ...,
    energies: ArrayLike | None = ...,
) -> tuple[StructureFactors, tuple[float, float, float, float, float, float]]: ...
def read_reflections(path: str | PathLike[str], *, column: str = ...) -> ReflectionFile: ...
def parse(command_line: str | Sequence[object], *, notices: list[str] | None = ...) -> Experiment: ...
def to_dict(experiment: Experiment) -> dict[str, Any]: ...
def from_dict(dictionary: Mapping[str, Any]) -> Experiment: ...
def simulate(
    experiment: Experiment,
    *,
    dtype: Dtype = ...,
    threads: int = ...,
    pixels: ArrayLike | None = ...,
    progress: Progress | None = ...,
    engine: Engine = ...,
    device: Device | None = ...,
    summation: Summation = ...,
) -> NDArray[Any]: ...
class DeviceArray:
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def device(self) -> str: ...
    def __dlpack__(
        self,
        *,
        stream: Any = ...,
        max_version: tuple[int, int] | None = ...,
        dl_device: tuple[int, int] | None = ...,
        copy: bool | None = ...,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

def simulate_on_device(
    experiment: Experiment,
    *,
    dtype: Dtype = ...,
    threads: int = ...,
    progress: Progress | None = ...,
    engine: Engine = ...,
    device: Device | None = ...,
    summation: Summation = ...,
) -> DeviceArray: ...
def sweep(
    experiment: Experiment,
    images: int,
    *,
    lit: bool = ...,
    reuse: bool = ...,
    dtype: Dtype = ...,
    threads: int = ...,
    progress: Progress | None = ...,
    engine: Engine = ...,
    device: Device | None = ...,
    summation: Summation = ...,
) -> Iterator[Any]: ...
class Series:
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[NDArray[Any]]: ...
    def experiment(self, i: int) -> Experiment: ...
    def seed(self, i: int) -> int: ...

def series(
    experiment: Experiment,
    images: int | None = ...,
    *,
    orientations: ArrayLike | None = ...,
    spectra: Spectra | None = ...,
    beam_jitter: tuple[float, int] | None = ...,
    seed: int | None = ...,
    response: DetectorResponse | None = ...,
    ahead: int = ...,
    dtype: Dtype = ...,
    threads: int = ...,
    progress: Progress | None = ...,
    engine: Engine = ...,
    device: Device | None = ...,
    summation: Summation = ...,
) -> Series: ...
def read_background(
    path: PathLike,
    *,
    thickness: float,
    density: float,
    molar_mass: float,
    interpolation: MaterialInterpolation = "linear",
) -> Material: ...
def gas_in_beam(
    start: float,
    end: float,
    *,
    gas: Literal["air", "helium"] = "air",
    temperature: float = 293.15,
    pressure: float = 101.325,
    compton: bool = True,
) -> tuple[Material, ...]: ...
def compton_of(formula: str, material: Material) -> Material: ...
def ice_rings(
    thickness: float,
    *,
    cell: tuple[float, float] = (4.4975, 7.3224),
    size: float = 300.0,
    B: float = 1.4,
) -> Material: ...
def with_spectrum(
    experiment: Experiment,
    spectrum: str | PathLike[str] | ArrayLike,
    *,
    unit: Literal["eV", "keV", "A"] | None = ...,
    channels: int | None = ...,
) -> Experiment: ...

class Spectra:
    def __init__(
        self,
        axis: ArrayLike,
        weights: ArrayLike,
        *,
        unit: Literal["eV", "keV", "A"],
        channels: int | None = ...,
        scale: Literal["relative", "absolute"] = ...,
    ) -> None: ...
    def __len__(self) -> int: ...
    def shot(self, i: int) -> NDArray[np.float64]: ...
    def mean(self) -> NDArray[np.float64]: ...
    @property
    def relative_light(self) -> NDArray[np.float64]: ...
    @property
    def moved_eV(self) -> float: ...

def read_spectra(
    path: str | PathLike[str],
    *,
    unit: Literal["eV", "keV", "A"] | None = ...,
    channels: int | None = ...,
    scale: Literal["relative", "absolute"] = ...,
) -> Spectra: ...
def random_orientations(images: int, seed: int) -> NDArray[np.float64]: ...
def write_picture(
    path: str | PathLike[str],
    experiment: Experiment,
    image: ArrayLike,
    *,
    scale: Literal["sqrt", "linear", "log"] = ...,
    white: float | None = ...,
    bits: Literal[8, 16] = ...,
    inverted: bool = ...,
    colors: Literal["grey", "heat"] = ...,
    axes: bool = ...,
    rings: Sequence[float] = ...,
    shrink: int = ...,
) -> None: ...
def write_png(path: str | PathLike[str], greys: NDArray[Any]) -> None: ...

Gradient = dict[str, Any]
Loss = Union[ArrayLike, Callable[[NDArray[np.float64]], tuple[float, ArrayLike]]]

def value_and_gradient(
    experiment: Experiment,
    loss: Loss,
    *,
    response: DetectorResponse | None = ...,
    dtype: Dtype = ...,
    threads: int = ...,
    pixels: ArrayLike | None = ...,
    progress: Progress | None = ...,
    engine: Engine = ...,
    device: Device | None = ...,
    summation: Summation = ...,
) -> tuple[float, Gradient]: ...
def vjp(
    experiment: Experiment,
    weights: ArrayLike,
    *,
    dtype: Dtype = ...,
    threads: int = ...,
    pixels: ArrayLike | None = ...,
    progress: Progress | None = ...,
    engine: Engine = ...,
    device: Device | None = ...,
    summation: Summation = ...,
) -> Gradient: ...
def jvp(
    experiment: Experiment,
    direction: Mapping[str, ArrayLike],
    *,
    dtype: Dtype = ...,
    threads: int = ...,
    pixels: ArrayLike | None = ...,
    progress: Progress | None = ...,
    engine: Engine = ...,
    device: Device | None = ...,
    summation: Summation = ...,
) -> NDArray[np.float64]: ...

@dataclass(frozen=True)
class DetectorResponse:
    kind: Literal["counting", "integrating"] = ...
    point_spread: Literal["gauss", "fiber"] | None = ...
    fwhm: float = ...
    flicker: float = ...
    calibration: float = ...
    calibration_seed: int = ...
    calibration_map: ArrayLike | None = ...
    dead_pixels: float = ...
    hot_pixels: float = ...
    dead_time: float = ...
    paralysable: bool = ...
    photon_spread: float = ...
    photon_charge: float = ...
    dark_current: float = ...
    full_well: float = ...
    gain_spread: float = ...
    gain_map: ArrayLike | None = ...
    readout_noise: float = ...
    offset: float = ...
    bits: int | None = ...
    @staticmethod
    def from_json(
        text: str, *, calibration_map: ArrayLike | None = ..., gain_map: ArrayLike | None = ...
    ) -> DetectorResponse | None: ...

def count_photons(
    experiment: Experiment, image: ArrayLike, *, seed: int, response: DetectorResponse | None = ...
) -> NDArray[np.int32]: ...
@dataclass(frozen=True, eq=False)
class PixelTruth:
    photons: NDArray[np.float64]
    parts: dict[str, NDArray[np.float64]]
    hkl: NDArray[np.int32] | None
    has_hkl: NDArray[np.bool_] | None
    crystal: NDArray[np.int32] | None = ...

def pixel_truth(experiment: Experiment, *, threads: int | None = None) -> PixelTruth: ...
def pixel_states(experiment: Experiment, response: DetectorResponse) -> NDArray[np.uint8]: ...
def expected_counts(
    experiment: Experiment, image: ArrayLike, response: DetectorResponse
) -> NDArray[np.float64]: ...
def spread_light(
    experiment: Experiment, light: ArrayLike, point_spread: Literal["gauss", "fiber"], *, fwhm: float = ...
) -> NDArray[np.float64]: ...
def read_image(path: str | PathLike[str], *, image: int = ...) -> tuple[NDArray[np.float64], str, int]: ...
def write_image(
    path: str | PathLike[str],
    experiment: Experiment,
    image: ArrayLike | None = ...,
    *,
    counts: bool | None = ...,
    compression: Literal["deflate", "bitshuffle_lz4"] | None = ...,
    response: DetectorResponse | None = ...,
) -> None: ...

class ImageWriter:
    def __init__(
        self,
        path: str | PathLike[str],
        experiment: Experiment,
        *,
        images: int = ...,
        counts: bool = ...,
        wavelengths: ArrayLike | None = ...,
        expt: str | PathLike[str] | None = ...,
        compression: Literal["deflate", "bitshuffle_lz4"] | None = ...,
        orientations: ArrayLike | None = ...,
        spectra: Spectra | None = ...,
        response: DetectorResponse | None = ...,
    ) -> None: ...
    def add(self, image: ArrayLike) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> ImageWriter: ...
    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None: ...

class RefinedNumber(NamedTuple):
    name: str
    unit: str
    start: float
    value: float
    deviation: float
    at_bound: bool

class RefinedFactors(NamedTuple):
    hkl: NDArray[np.intc]
    start: NDArray[np.float64]
    value: NDArray[np.float64]
    deviation: NDArray[np.float64]

class RefineStage(NamedTuple):
    name: str
    iterations: int
    spots: int
    pixels: int
    residual_before: float
    residual: float
    misfit_share: float
    seconds: float
    converged: bool

class FoundSpots(NamedTuple):
    found: int
    placed: int
    fast_rms_px: float
    slow_rms_px: float

class RefineProgress(NamedTuple):
    stage: str
    iteration: int
    residual: float
    change: float
    values: dict[str, float]
    state: str

class Refinement(NamedTuple):
    experiments: tuple[Experiment, ...]
    numbers: tuple[RefinedNumber, ...]
    correlations: NDArray[np.float64]
    structure_factors: RefinedFactors
    stages: tuple[RefineStage, ...]
    pixels_in_shadow: tuple[int, ...]
    found_spots: FoundSpots | None
    warnings: tuple[str, ...]
    stopped: bool
    state: str
    @property
    def experiment(self) -> Experiment: ...
    def number(self, name: str) -> RefinedNumber: ...

def refine(
    experiment: Experiment | list[Experiment] | tuple[Experiment, ...] | Series,
    image: str | PathLike[str] | ArrayLike | Sequence[str | PathLike[str] | ArrayLike],
    *,
    parameters: str | Sequence[str] = ...,
    own: str | Sequence[str] = ...,
    likelihood: Literal["poisson", "gauss"] = ...,
    background: Literal["none", "constant", "plane"] = ...,
    gain: float | None = ...,
    offset: float | None = ...,
    readout_noise: float = ...,
    overload: float | None = ...,
    saturated: Literal["censored", "left-out"] = ...,
    point_spread: Literal["gauss", "fiber"] | None = ...,
    fwhm: float = ...,
    image_number: int | None = ...,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = ...,
    restraints: Mapping[str, float | tuple[float, float]] | None = ...,
    shoebox: int = ...,
    spots: int = ...,
    least_photons: float = ...,
    all_pixels: bool = ...,
    spot_stage: bool = ...,
    spots_of: str | PathLike[str] | None = ...,
    spots_experiment: int = ...,
    structure_factors: float | None = ...,
    intensities: Literal["model", "free"] = ...,
    centring: Literal["P", "A", "B", "C", "I", "F", "R"] = ...,
    variances: Literal["counted", "fitted"] = ...,
    equal: str | Sequence[str] = ...,
    iterations: int = ...,
    resume: str | None = ...,
    progress: Callable[[RefineProgress], Any] | None = ...,
    dtype: Dtype = ...,
    threads: int = ...,
    engine: Engine = ...,
    device: Device | None = ...,
) -> Refinement: ...

class Jacobian(NamedTuple):
    photons: NDArray[np.float64]
    slopes: NDArray[np.float64]
    columns: tuple[str, ...]
    pixels: NDArray[np.intp]

def jacobian(
    experiment: Experiment,
    names: str | Sequence[str],
    pixels: ArrayLike | None = ...,
    *,
    dtype: Dtype = ...,
    threads: int = ...,
    progress: Progress | None = ...,
    engine: Engine = ...,
    device: Device | None = ...,
    summation: Summation = ...,
) -> Jacobian: ...

class ExperimentModel:
    def __init__(
        self,
        experiment: Experiment,
        free: Literal["stage_a", "frozen"] | Sequence[str] | Mapping[str, Any] = ...,
    ) -> None: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def start(self) -> NDArray[np.float64]: ...
    def values(self, x: ArrayLike) -> dict[str, Any]: ...
    def experiment(self, x: ArrayLike) -> Experiment: ...
    def simulate(self, x: ArrayLike, **options: Any) -> NDArray[Any]: ...
    def gradient(self, x: ArrayLike, named: Gradient) -> NDArray[np.float64]: ...
    def value_and_gradient(
        self, x: ArrayLike, loss: Loss, **options: Any
    ) -> tuple[float, NDArray[np.float64]]: ...
