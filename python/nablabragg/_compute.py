"""Images and their derivatives: what the functions take, and what they give."""

from nablabragg import _core

_OPTIONS = """
    dtype : 'float64' or 'float32'
        of the arithmetic; results are float64
    pixels : int array (n, 2) of (slow, fast), of several panels (n, 3) of (panel, slow, fast), or bool
        array of the image's shape
        only these, in arrays of shape (n,)
    threads, progress, engine, device, summation
        as simulate() takes them; by 'reference' the value is that of its own image

    Raises what simulate() raises, and UsageError for wrong shapes and names.
    """


def options_of(arguments):
    """Those of a function's arguments that say how to compute, in a dict."""
    names = ("dtype", "threads", "pixels", "progress", "engine", "device", "summation")
    return {name: arguments[name] for name in names if name in arguments}


def _with_options(function):
    function.__doc__ = (function.__doc__ or "") + _OPTIONS  # python -OO leaves none
    return function


def simulate(
    experiment,
    *,
    dtype="float32",
    threads=0,
    pixels=None,
    progress=None,
    engine="cpu",
    device=None,
    summation="auto",
):
    """The image: photons of every pixel, an array (slow, fast) that owns its memory; of several
    panels (panels, slow, fast), or, where their sizes differ, (pixels,), panel by panel.

    dtype : 'float32' or 'float64'
        of the arithmetic and of the array
    threads : int
        0: as many as the machine has; the image does not depend on it
    pixels : int array (n, 2) of (slow, fast), of several panels (n, 3) of (panel, slow, fast), or bool
        array of the image's shape
        only these; the result has the shape (n,), and the region of interest and the mask do not
        matter
    progress : function of the share that is done, a float
        called ten times a second; stops the work by returning False (Cancelled) or by raising
    engine : 'cpu', 'cuda' or 'reference'
        what computes; 'cuda': a GPU, 'cuda:1' the second one; 'reference': double precision, plain loops
    device : 'cpu', 'cuda' or 'auto'
        another name for engine, which it overrides; 'auto': a GPU where one is at hand, can do it and is
        faster, otherwise 'cpu'
    summation : 'auto', 'closed' or 'sampled'
        how rotations, wavelengths and directions are added up: in closed form or step by step;
        'auto': as experiment.sampling.summation says

    Other Python threads run meanwhile, and Ctrl-C stops it.  Pixels that are NaN or infinite are a
    SimulationWarning, and so are numbers that are most likely in another unit or contradict each
    other.  Raises UsageError for a description of no experiment and for a pixel that is not on the
    panel.
    """
    return _core.simulate(experiment, options_of(locals()))


def simulate_on_device(
    experiment,
    *,
    dtype="float32",
    threads=0,
    progress=None,
    engine="cuda",
    device=None,
    summation="auto",
):
    """The image as simulate() gives it, in the memory of the GPU that computed it: a DeviceArray,
    which torch.from_dlpack() and others take without a copy.

    dtype, threads, progress, engine, device, summation
        as simulate() takes them, of a GPU: 'cuda', 'cuda:1'

    It is not looked at for NaN and darkness.  Raises what simulate() raises, UsageError for an engine
    that is no GPU, and DeviceError where the GPU's memory does not hold it.
    """
    return _core.simulate_on_device(experiment, options_of(locals()))


def sweep(
    experiment,
    images,
    *,
    lit=False,
    reuse=False,
    dtype="float32",
    threads=0,
    progress=None,
    engine="cpu",
    device=None,
    summation="auto",
):
    """The images of a crystal that turns, one after the other: an iterator.

    Image i is what simulate() gives for the experiment at scan.phi + i * oscillation, to the last
    bit.  It is made when it is asked for.  What does not depend on phi is made once, and in closed
    form dark pixels cost nothing (docs/closed-form.md).

    images : int
        how many
    lit : bool
        True: instead of an image (indices, photons) of its pixels that are not zero; indices are
        int64 and those of image.ravel()
    reuse : bool
        True: each image is the same memory, for reading, until the next one is asked for; False: each
        is an array of its own, which takes about as long again
    progress : function of the share of the sweep that is done, a float
    dtype, threads, engine, device, summation
        as simulate() takes them

    Raises UsageError as simulate() does, for no images, and for several without an oscillation.  NaN
    and infinity are not looked for.
    """
    turning = _core.SweepOfImages(experiment, images, None, None, None, options_of(locals()))
    if lit:
        return (turning.lit_pixels(i) for i in range(turning.images))
    return (turning.image(i, bool(reuse)) for i in range(turning.images))


@_with_options
def value_and_gradient(
    experiment,
    loss,
    *,
    response=None,
    dtype="float64",
    threads=0,
    pixels=None,
    progress=None,
    engine="cpu",
    device=None,
    summation="auto",
):
    """A number that depends on the image, and its derivative with respect to all that made the image.

    Returns (value, gradient); gradient is a dict of the names, shapes and units of
    experiment.parameters, and F, an array on the box of the table of structure factors, where there
    is one.  Where the value, a weight or a slope of a pixel that counts is NaN or infinite, every
    derivative is NaN; pixels that are masked out or outside the region of interest do not count.

    loss : array of the image's shape, or a function
        the weights w of sum(w * image); or a function image -> (value, dvalue/dimage), called once
        with the float64 image
    response : DetectorResponse, optional
        the image is then expected_counts() of the photons; the gradient also has, of an integrating
        detector, response.gain [1/(counts/photon)], one of each panel, response.offset [1/count] and
        response.dark_current [s/electron], and where there is a point spread response.fwhm [1/um]"""
    return _core.value_and_gradient(experiment, loss, response, options_of(locals()))


@_with_options
def vjp(
    experiment,
    weights,
    *,
    dtype="float64",
    threads=0,
    pixels=None,
    progress=None,
    engine="cpu",
    device=None,
    summation="auto",
):
    """Weights x Jacobian: the gradient of sum(weights * image) as value_and_gradient() gives it.

    weights : array of the image's shape"""
    return _core.vjp(experiment, weights, options_of(locals()))


@_with_options
def jvp(
    experiment,
    direction,
    *,
    dtype="float64",
    threads=0,
    pixels=None,
    progress=None,
    engine="cpu",
    device=None,
    summation="auto",
):
    """Jacobian x direction: how fast every pixel changes along a direction, an array of the
    image's shape.

    Along a direction that holds NaN or infinity every change is NaN.

    direction : dict of name to number or array
        of some of experiment.parameters, in their shapes and units; F on the table's box; where F follows the
        energy, "f_prime[Fe]" and "f_double_prime[Fe]" in the rows of the curves, as gradients name them"""
    return _core.jvp(experiment, direction, options_of(locals()))


def write_png(path, greys):
    """Writes an array as a PNG picture, slow axis downwards.

    greys : uint8 or uint16 array (slow, fast), or (slow, fast, 3) of red, green and blue
        0 is black

    Raises OutputError for a file that cannot be written, UsageError for another array.
    """
    _core.write_png(path, greys)


def write_picture(
    path,
    experiment,
    image,
    *,
    scale="sqrt",
    white=None,
    bits=8,
    inverted=False,
    colors="grey",
    axes=False,
    rings=(),
    shrink=1,
):
    """Draws an image as a PNG picture, as the program's -pngfile does; several panels in their places.

    image : array of the experiment's shape
        photons, or counts
    scale : 'sqrt', 'linear' or 'log'
        how photons become grey
    white : float, optional
        photons of a white pixel; None: what 99.9 % of the lit pixels stay below
    bits : 8 or 16
        of a grey, or of each of three colours
    inverted : bool
        dark spots on white, as on film
    colors : 'grey' or 'heat'
        heat: black, violet, red, orange, white, in steps that look equally large
    axes : bool
        a frame with axes in pixels and mm, a cross where the direct beam meets the panel, outlines of
        several panels and a bar with the photons of the colours; without it and without rings the
        picture has one point for each pixel
    rings : sequence of float
        d-spacings of resolution rings [Angstrom]
    shrink : int
        as many pixels along each edge become one point, the largest of them

    Raises UsageError for an image of another shape and for rings that no light reaches or that a curved
    panel has, OutputError for a file that cannot be written.
    """
    _core.write_picture(
        path,
        experiment,
        image,
        {
            "scale": scale,
            "white": white,
            "bits": bits,
            "inverted": inverted,
            "colors": colors,
            "axes": axes,
            "rings": rings,
            "shrink": shrink,
        },
    )
