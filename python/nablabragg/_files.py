"""Images in files that other programs process, and the geometry of such files."""

from nablabragg import _core


def count_photons(experiment, image, *, seed, response=None):
    """Counts as a detector records them, an int32 array of the image's shape.

    image : array of the experiment's shape
        photons, as simulate() gives them
    seed : int
        the same seed gives the same counts
    response : DetectorResponse, optional
        the steps of the detector; None: counts are drawn and no more

    Without a response each is drawn at random about its photons, times the gain of its panel, and is no more than the
    panel's saturation (SimulationWarning with the number of those that would be).  Pixels outside the
    region of interest are -2, pixels that the mask leaves out -1.  Raises UsageError for an image of
    another shape, and for one that is NaN where a pixel counts.
    """
    return _core.count_photons(experiment, image, seed, response)


def read_image(path, *, image=0):
    """(pixels, format, images): one image of a file, from CBF, NXmx, SMV or TIFF.

    image : int
        which one, from 0

    The pixels are a float64 array (slow, fast); of several panels (panels, slow, fast) or, where their
    sizes differ, (pixels,).  What holds no count is NaN.  `format` is its name, `images` how many
    images the file holds.  Raises InputError for what cannot be read.
    """
    return _core.read_image(path, image)


class ImageWriter:
    """A file of images with their geometry, in the format of its name's ending (docs/files.md).

    path : str or path-like
        of images: ".nxs", "_master.h5" (NXmx), ".cbf", ".img" (SMV); of the experiment alone, to which
        no image is added: ".expt", ".poni"; of images of photons, without water: ".refl", their true
        reflections (docs/series.md); of one image: ".png", a picture of it
    experiment : Experiment
        whose detector, beam, scan and crystal the file states; with an oscillation the images are
        those of a scan, each as wide as it, the first where it begins
    images : int
        how many will be added, or the experiment has
    counts : bool
        int32 counts (count_photons()); False: float32 photons
    wavelengths : array (images,), optional
        of each image [Angstrom], of stills
    expt : str or path-like, optional
        a dxtbx experiment list of these images, written when they are complete; images of a file each
        need a name with #### for their numbers
    orientations : array (images, 3) or (images, 3, 3), optional
        of stills, as series() takes them: each has a crystal of its own in .expt and .refl
    spectra : Spectra, optional
        as series() takes them, a shot for each image, with its mean as the wavelength
    compression : str, optional
        of NXmx: "deflate", which None is, or "bitshuffle_lz4", where HDF5 has its filter
    response : DetectorResponse, optional
        with which the counts were made: its offset is stated as their pedestal, and NXmx keeps it beside the
        experiment

    Used in `with`, it is closed at the end, and no file is left when an error ends the block.  Nothing
    stands under its name before.  Raises UsageError for what the format cannot hold, with one that
    can, OutputError for what cannot be written.
    """

    def __init__(
        self,
        path,
        experiment,
        *,
        images=1,
        counts=True,
        wavelengths=None,
        expt=None,
        compression=None,
        orientations=None,
        spectra=None,
        response=None,
    ):
        self._writer = _core.ImageWriter(
            path, experiment, images, counts, wavelengths, expt, compression, orientations, spectra, response
        )

    def add(self, image):
        """The next image, an array of the experiment's shape.

        Raises UsageError for counts that 32 bits cannot hold.
        """
        self._writer.add(image)

    def close(self):
        """Gives the file its name.  Raises UsageError where images are missing."""
        self._writer.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.close()
        else:
            self._writer.abandon()


def write_image(path, experiment, image=None, *, counts=None, compression=None, response=None):
    """One image with its geometry in a file, as ImageWriter writes it.

    image : array of the experiment's shape, optional
        None: for a file of the experiment alone
    counts : bool, optional
        None: whether the array holds whole numbers
    response : DetectorResponse, optional
        as ImageWriter takes it
    """
    if counts is None:
        counts = getattr(getattr(image, "dtype", None), "kind", "f") in "iu"
    with ImageWriter(path, experiment, counts=counts, compression=compression, response=response) as file:
        if image is not None:
            file.add(image)


def _with_geometry(self, path, *, number=0):
    """The experiment with the panels of a file, and with its beam, scan and crystal where it states them.

    path : str or path-like
        dxtbx .expt, CrystFEL .geom, or an image: CBF, NXmx, SMV
    number : int
        which experiment of an .expt, from 0

    A beam that the file states replaces tilt and spectrum, or a spectrum comes along it; a crystal replaces
    cell and misset, of a still phi as well. Crystals beside the first keep their missettings.

    Raises InputError that names what the file lacks.
    """
    return _core.with_geometry(self, path, number)


def _with_detector(self, name, *, distance, beam_center=None):
    """The experiment with a detector by its name (`nablabragg detectors` lists them).

    name : str
        "EIGER2 16M", "jungfrau-4m", "PILATUS3 6M CdTe"...: any beginning that only one has
    distance : float
        from the sample along the beam, which meets the detector at a right angle [mm]
    beam_center : (fast, slow), optional
        in pixels, from the outer corner of the first one; None: the middle

    Panels, beam and crystal are then stated in the frame whose beam runs along -z and whose spindle is
    x.  Raises UsageError for a name that none or several have.
    """
    return _core.with_detector(self, name, distance, beam_center)


for _name, _function in (("with_geometry", _with_geometry), ("with_detector", _with_detector)):
    _function.__name__ = _name
    _function.__qualname__ = f"Experiment.{_name}"
    setattr(_core.Experiment, _name, _function)
