"""Several images of a crystal, made while others are looked at."""

import queue
import threading

from nablabragg import _core
from nablabragg._compute import options_of
from nablabragg._files import count_photons


class Series:
    """What series() gives: an iterator over images starts anew each time it is asked for."""

    def __init__(self, sweep, seed, ahead, response):
        self._sweep, self._seed, self._ahead, self._response = sweep, seed, ahead, response

    def __len__(self):
        return self._sweep.images

    def experiment(self, i):
        """The experiment that image i alone is of."""
        return self._sweep.experiment(i)

    def seed(self, i):
        """The seed of the noise of image i, as count_photons() takes it."""
        if self._seed is None:
            raise _core.UsageError("these images have no noise; series() takes a seed")
        return _core.seed_of_image(self._seed, i)

    def _image(self, i):
        if self._seed is not None and self._response is None:
            counts = self._sweep.counts(i, self.seed(i))
            if counts is not None:
                return counts
        image = self._sweep.image(i, False)
        if self._seed is None:
            return image
        return count_photons(self.experiment(i), image, seed=self.seed(i), response=self._response)

    def __iter__(self):
        made = queue.Queue(self._ahead)
        wanted = threading.Event()
        wanted.set()

        def put(thing):
            while wanted.is_set():
                try:
                    return made.put(thing, timeout=0.1)
                except queue.Full:
                    pass

        def make():
            try:
                for i in range(len(self)):
                    if not wanted.is_set():
                        return
                    put((self._image(i), None))
            except BaseException as error:
                put((None, error))

        maker = threading.Thread(target=make, daemon=True)
        maker.start()
        try:
            for _ in range(len(self)):
                image, error = made.get()
                if error is not None:
                    raise error
                yield image
        finally:
            wanted.clear()
            maker.join()


def series(
    experiment,
    images=None,
    *,
    orientations=None,
    spectra=None,
    beam_jitter=None,
    seed=None,
    response=None,
    ahead=2,
    dtype="float32",
    threads=0,
    progress=None,
    engine="cpu",
    device=None,
    summation="auto",
):
    """Several images of a crystal: a Series, over which a loop goes image by image.  The next images
    are computed while the loop works on one.

    Image i is what simulate() gives for series.experiment(i), to the last bit: of a scan the
    experiment at scan.phi + i * oscillation, of stills that with misset = orientations[i], and with
    spectra in the light of spectra.shot(i).

    images : int
        how many; of stills None is all of them
    orientations : array (n, 3) of angles [degree], or (n, 3, 3) of rotation matrices
        of stills: rotations about laboratory x, then y, then z, in place of crystal.misset; None: a
        scan.  random_orientations() draws them.  more_crystals turn with the crystal, so that all lie
        to one another as in the experiment
    spectra : Spectra, optional
        as Spectra() and read_spectra() make them, a shot for each image; without orientations and
        oscillation stills that differ in their light alone.  The wavelength of all experiments, which
        sub-pixels, sensors and an A matrix go by, is the mean of all shots; a matrix keeps its lattice
    beam_jitter : (float, int), optional
        standard deviation of beam.tilt from image to image [mrad], along both axes, and the seed that it
        follows from
    seed : int
        images are counts with noise, int32, as count_photons() draws them with series.seed(i); None:
        photons
    response : DetectorResponse, optional
        of the detector that counts; needs a seed
    ahead : int
        how many images are made before they are asked for, each in memory
    progress : function of the share of the series that is done, a float, called by another thread
    dtype, threads, engine, device, summation
        as simulate() takes them

    Raises UsageError as simulate() does, for no images, for a scan without an oscillation, for another
    number of spectra than of images, and for spectra beside divergence or dispersion.
    """
    if not isinstance(ahead, int) or ahead < 1:
        raise _core.UsageError(f"ahead needs a whole number of images, 1 or more, not {ahead!r}")
    if response is not None and seed is None:
        raise _core.UsageError("a response makes counts of photons, which needs a seed")
    sweep = _core.SweepOfImages(
        experiment, images, orientations, spectra, beam_jitter, options_of(locals())
    )
    return Series(sweep, seed, ahead, response)


def random_orientations(images, seed):
    """Rotations as series() takes them, uniform over all orientations: an array (images, 3) of
    angles [degree].  That of an image depends on the seed and its number alone.
    """
    return _core.random_orientations(images, seed)
