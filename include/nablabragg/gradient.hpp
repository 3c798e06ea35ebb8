// Derivatives of the image with respect to everything that made it.
//
// In reverse, from d(loss)/d(pixel) to d(loss)/d(every parameter) at the price of two to three
// images, however many parameters there are; forwards, the change of every pixel with some of them.
// docs/gradients.md has the conventions at the corners: where F jumps half-way between two lattice
// points, at a Bragg peak, for whole numbers of cells.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>
#include "nablabragg/experiment.hpp"
#include "nablabragg/parameters.hpp"
#include "nablabragg/simulate.hpp"

namespace nablabragg {

/// Numbers by the name of their parameter, row by row, in its unit (a derivative: per its unit).
using NamedValues = std::map<std::string, std::vector<double>, std::less<>>;

/// With respect to f' and f'' in the rows of a DispersionCurve.
struct DispersionSlopes {
  std::string element;
  std::vector<double> f_prime, f_double_prime;
};

/// d(loss)/d(everything).
struct Gradient {
  NamedValues parameters;  ///< for every parameter of parameters(experiment)
  /// For F(h,k,l) of the table, on the same box; empty where the experiment has no table, and where
  /// each reflection has an F for each energy of the light.
  std::shared_ptr<StructureFactorGrid> structure_factors;
  std::vector<DispersionSlopes> dispersion;  ///< of each species, where F follows the energy
};

struct ValueAndGradient {
  double value = 0;
  std::vector<double> photons;  ///< as photons() gives them; empty where weights were given
  Gradient gradient;
};

/// A function of the image.  It is called once with the photons of the pixels, fills
/// d(loss)/d(photons of each), zero on entry, and returns the loss.
using Loss = std::function<double(std::span<const double> photons, std::span<double> slopes)>;

/// Options of derivatives: those of simulate().  `engine` reference means that photons and values
/// are those of its plain loops in double precision, and slopes double precision with no step left
/// out, whatever `precision` and `skip_below` say.  float64 is for proofs and least squares,
/// float32 for networks and many F's. All functions here throw what simulate() throws, and
/// UsageError for nanoBragg's running products (Q-02: -oversample_* without -corrected), which have
/// no useful derivative.

/// Photons of every pixel before they are rounded to float32, panel by panel as in an Image; zero
/// outside the region of interest and the mask.
std::vector<double> photons(const SettledExperiment& experiment,
                            const ComputeOptions& options = {});
/// Photons of some pixels in their order, as simulate_pixels().
std::vector<double> photons(const SettledExperiment& experiment, std::span<const PixelIndex> pixels,
                            const ComputeOptions& options = {});

/// The gradient of a value that is NaN or infinite: NaN for every parameter and every F.
Gradient undefined_gradient(const SettledExperiment& experiment);

/// Value and gradient of sum(weights x image), in one go.  `weights` has one number for each pixel
/// of all panels, in the order of the image; those outside the region of interest and the mask do
/// not count.  Where one that counts is NaN or infinite, the value is NaN; where the value is not
/// finite, every derivative is NaN.
ValueAndGradient value_and_gradient(const SettledExperiment& experiment,
                                    std::span<const double> weights,
                                    const ComputeOptions& options = {});
/// The same for some pixels.
ValueAndGradient value_and_gradient(const SettledExperiment& experiment,
                                    std::span<const PixelIndex> pixels,
                                    std::span<const double> weights,
                                    const ComputeOptions& options = {});
/// Value and gradient of any function of the image: an image, the function, then the gradient.
/// Where the loss or a slope that counts is not finite, every derivative is NaN.
ValueAndGradient value_and_gradient(const SettledExperiment& experiment, const Loss& loss,
                                    const ComputeOptions& options = {});
/// The same for some pixels.
ValueAndGradient value_and_gradient(const SettledExperiment& experiment,
                                    std::span<const PixelIndex> pixels, const Loss& loss,
                                    const ComputeOptions& options = {});

/// Photons of some pixels, and how they change with one number of a parameter in each column.
struct Jacobian {
  std::vector<double> photons;       ///< one for each pixel
  std::vector<double> slopes;        ///< pixels x columns, row by row
  std::vector<std::string> columns;  ///< "cell[0]", "cell[1]", ..., "wavelength"
};
/// For all numbers of the named parameters, in their order.  Where F follows the energy of the
/// light "f_prime[Fe]" and "f_double_prime[Fe]" are names, too, with a column for each row of the
/// element's DispersionCurve: "f_prime[Fe][0]", "f_prime[Fe][1]", ...
Jacobian jacobian(const SettledExperiment& experiment, std::span<const std::string> names,
                  std::span<const PixelIndex> pixels, const ComputeOptions& options = {});

/// The change of the pixels along one direction in the space of the parameters: Jacobian x
/// direction. `structure_factors`, where given, is a direction for F(h,k,l) on the table's box;
/// where F follows the energy of the light, "f_prime[Fe]" and "f_double_prime[Fe]" are names of
/// directions, too, with a number for each row of the element's DispersionCurve.
/// Along a direction that holds NaN or infinity every change is NaN.
std::vector<double> jvp(const SettledExperiment& experiment, const NamedValues& direction,
                        std::span<const PixelIndex> pixels, const ComputeOptions& options = {},
                        const StructureFactorGrid* structure_factors = nullptr);

/// All pixels of the region of interest that are not masked out, in the order of the image.
std::vector<PixelIndex> visited_pixels(const SettledExperiment& experiment);

}  // namespace nablabragg
