#include "readout/point_spread.hpp"

#include <tbb/blocked_range.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <numbers>
#include <type_traits>
#include <vector>

#include "physics/dual.hpp"
#include "readout/row_kernels.hpp"

// Parts of the transforms are shared among our threads.
#define POCKETFFT_NO_MULTITHREADING
#include <gemmi/third_party/pocketfft_hdronly.h>

namespace nablabragg::readout {

namespace {

// ---- The kernels --------------------------------------------------------------------------------
// Of a width that is a number, or a dual number for what they change by with it.

/// The share of a Gaussian of this width that lies between two distances from its middle, the same
/// on both sides of it or both positive.
template <class T>
T share_between(const T& fwhm_um, double from_um, double to_um) {
  using std::erf;
  using std::erfc;
  const T a = 2 * std::sqrt(std::numbers::ln2) / fwhm_um;
  // Differences of what is left beyond: those of erf cancel far out.
  if (from_um > 0) return (erfc(a * from_um) - erfc(a * to_um)) / 2;
  return (erf(a * to_um) - erf(a * from_um)) / 2;
}

template <class T>
T gauss_share(const T& fwhm_um, double pixel_um, int pixels) {
  const double x = std::abs(pixels) * pixel_um;
  return share_between(fwhm_um, x - pixel_um / 2, x + pixel_um / 2);
}

/// Where the fibre's density is half of that in the middle, r = fwhm/2: g = fwhm times this.
const double fiber_g_of_fwhm = 1 / (2 * std::sqrt(std::cbrt(4.0) - 1));

/// The share of the fibre's light between the middle and the corner (x, y).
template <class T>
T fiber_corner(double x, double y, const T& g) {
  using std::atan;
  using std::sqrt;
  return atan(x * y / (g * sqrt(g * g + x * x + y * y))) / (2 * std::numbers::pi);
}

template <class T>
T fiber_share(const T& g, double fast_um, double slow_um, int fast, int slow) {
  using std::sqrt;
  const double x = fast * fast_um, y = slow * slow_um, r2 = x * x + y * y;
  const double far = 100 * std::max(fast_um, slow_um);
  if (r2 < far * far) {
    const double left = x - fast_um / 2, right = x + fast_um / 2, low = y - slow_um / 2,
                 high = y + slow_um / 2;
    return fiber_corner(right, high, g) - fiber_corner(right, low, g) -
           fiber_corner(left, high, g) + fiber_corner(left, low, g);
  }
  // The corners' difference cancels: the density in the middle of the pixel and its curvature, to
  // 1e-8 of the share
  const T q = g * g + r2;
  const T bend = (fast_um * fast_um * (15 * x * x / q - 3) +
                  slow_um * slow_um * (15 * y * y / q - 3)) /
                 (24 * q);
  return fast_um * slow_um * g / (2 * std::numbers::pi) / (q * sqrt(q)) * (1 + bend);
}

template <class T>
T share_of_pixel(PointSpread::Shape shape, const T& fwhm_um, const PixelGrid& grid, int fast,
                 int slow) {
  if (shape == PointSpread::Shape::gauss)
    return gauss_share(fwhm_um, grid.fast_um, fast) * gauss_share(fwhm_um, grid.slow_um, slow);
  return fiber_share(fwhm_um * fiber_g_of_fwhm, grid.fast_um, grid.slow_um, std::abs(fast),
                     std::abs(slow));
}

using Slope = physics::Dual<1>;

Slope varied(double x) {
  Slope s = x;
  s.slopes[0] = 1;
  return s;
}

// ---- Gauss: along rows, then along columns ------------------------------------------------------

/// The shares of the pixels 0, 1, 2... away, as many as make a difference in double precision.
template <class T>
std::vector<T> gauss_weights(const T& fwhm_um, double pixel_um, int pixels) {
  std::vector<T> weights;
  for (int i = 0; i < pixels; ++i) {
    const T share = gauss_share(fwhm_um, pixel_um, i);
    if (i > 0 && share < 1e-20) break;
    weights.push_back(share);
  }
  return weights;
}

constexpr std::size_t columns_together = 256;

/// Arrays of a thread, which keep their memory from strip to strip.
struct Strip {
  std::vector<double> line, rows, sum;
  std::vector<const double*> taps;
};

/// The weights are those of the pixels 0, 1, 2... away.
template <class Real>
void convolve(std::span<const double> along_fast, std::span<const double> along_slow,
              const PixelGrid& grid, std::span<const Real> light, std::span<Real> result) {
  const std::size_t width = static_cast<std::size_t>(grid.fast_pixels);
  const std::size_t fast_reach = along_fast.size() - 1;
  const int slow_reach = static_cast<int>(along_slow.size()) - 1;
  const std::vector<double> dark(width);
  const RowKernels kernels = row_kernels();
  const auto as_doubles = [&](std::size_t from, std::size_t size, double* to) {
    if constexpr (std::is_same_v<Real, float>)
      kernels.widen(light.data() + from, size, 1, to);
    else
      std::copy_n(light.data() + from, size, to);
  };
  const auto as_result = [&](const double* from, std::size_t size, Real* to) {
    if constexpr (std::is_same_v<Real, float>)
      kernels.narrow(from, size, to);
    else
      std::copy_n(from, size, to);
  };
  tbb::enumerable_thread_specific<Strip> strips;
  const auto spread_rows = [&](int begin, int end) {
    Strip& strip = strips.local();
    strip.line.assign(width + 2 * fast_reach, 0.0);
    const int first = std::max(begin - slow_reach, 0),
              last = std::min(end + slow_reach, grid.slow_pixels);
    strip.rows.resize(static_cast<std::size_t>(last - first) * width);
    strip.sum.resize(columns_together);
    strip.taps.resize(2 * std::max(fast_reach, static_cast<std::size_t>(slow_reach)) + 1);
    const auto row = [&](int slow) {
      return slow < first || slow >= last
                 ? dark.data()
                 : strip.rows.data() + static_cast<std::size_t>(slow - first) * width;
    };
    for (std::size_t i = 0; i <= 2 * fast_reach; ++i) strip.taps[i] = strip.line.data() + i;
    for (int slow = first; slow < last; ++slow) {
      as_doubles(static_cast<std::size_t>(slow) * width, width, strip.line.data() + fast_reach);
      kernels.weighted_sum(strip.taps.data(), along_fast.data(), fast_reach, width,
                           strip.rows.data() + static_cast<std::size_t>(slow - first) * width);
    }
    // So many columns at a time that what the next row's sum needs again stays in the first cache.
    for (std::size_t from = 0; from < width; from += columns_together) {
      const std::size_t columns = std::min(columns_together, width - from);
      for (int slow = begin; slow < end; ++slow) {
        for (int i = -slow_reach; i <= slow_reach; ++i)
          strip.taps[static_cast<std::size_t>(i + slow_reach)] = row(slow + i) + from;
        kernels.weighted_sum(strip.taps.data(), along_slow.data(),
                             static_cast<std::size_t>(slow_reach), columns, strip.sum.data());
        as_result(strip.sum.data(), columns,
                  result.data() + static_cast<std::size_t>(slow) * width + from);
      }
    }
  };
  const int rows_together = std::max(64, 2 * slow_reach);
  tbb::parallel_for(
      tbb::blocked_range<int>(0, (grid.slow_pixels + rows_together - 1) / rows_together),
      [&](const auto& parts) {
        for (int i = parts.begin(); i < parts.end(); ++i)
          spread_rows(i * rows_together, std::min((i + 1) * rows_together, grid.slow_pixels));
      });
}

template <class Real>
void spread_gauss(double fwhm_um, const PixelGrid& grid, std::span<const Real> light,
                  std::span<Real> result) {
  const auto along_fast = gauss_weights(fwhm_um, grid.fast_um, grid.fast_pixels);
  const auto along_slow = gauss_weights(fwhm_um, grid.slow_um, grid.slow_pixels);
  convolve<Real>(along_fast, along_slow, grid, light, result);
}

/// Of a product of two: the slope of each with the other as it is.
void spread_gauss_slope(double fwhm_um, const PixelGrid& grid, std::span<const double> light,
                        std::span<double> result) {
  struct Weights {
    std::vector<double> values, slopes;
  };
  const auto weights_along = [&](double pixel_um, int pixels) {
    Weights w;
    for (const Slope& share : gauss_weights(varied(fwhm_um), pixel_um, pixels)) {
      w.values.push_back(share.value);
      w.slopes.push_back(share.slopes[0]);
    }
    return w;
  };
  const Weights fast = weights_along(grid.fast_um, grid.fast_pixels),
                slow = weights_along(grid.slow_um, grid.slow_pixels);
  convolve<double>(fast.slopes, slow.values, grid, light, result);
  std::vector<double> of_slow(result.size());
  convolve<double>(fast.values, slow.slopes, grid, light, of_slow);
  for (std::size_t i = 0; i < result.size(); ++i) result[i] += of_slow[i];
}

// ---- Fibre: in Fourier space --------------------------------------------------------------------

template <class Real>
using Complex = std::complex<Real>;

constexpr std::ptrdiff_t bytes(std::size_t size, std::size_t numbers) {
  return static_cast<std::ptrdiff_t>(size * numbers);
}

/// An even length of fast transforms on which a panel of so many pixels does not reach itself
/// around the ends.
std::size_t padded(int pixels) {
  return 2 * pocketfft::detail::util::good_size_cmplx(static_cast<std::size_t>(pixels));
}

/// Work on the parts of [0, size) that are `together` long.
template <class Work>
void in_parts(std::size_t size, std::size_t together, Work work) {
  tbb::parallel_for(tbb::blocked_range<std::size_t>(0, (size + together - 1) / together),
                    [&](const auto& parts) {
                      for (std::size_t i = parts.begin(); i < parts.end(); ++i)
                        work(i * together, std::min((i + 1) * together, size));
                    });
}

/// What light is convolved with: the fibre's shares, or what they change by with g.
enum class Kernel : std::uint8_t { shares, slopes };

double fiber_kernel(Kernel kernel, double g, const PixelGrid& grid, int fast, int slow) {
  if (kernel == Kernel::slopes)
    return fiber_share(varied(g), grid.fast_um, grid.slow_um, fast, slow).slopes[0];
  return fiber_share(g, grid.fast_um, grid.slow_um, fast, slow);
}

/// The transform of a fibre's kernel on a padded panel, real as the kernel is even, and divided by
/// the number of padded pixels.
template <class Real>
struct FiberTransform {
  Kernel of;
  double g;
  PixelGrid grid;
  std::size_t fast, slow;    ///< padded pixels
  std::vector<Real> values;  ///< of the frequencies 0 to half of them, slow by slow

  std::size_t fast_values() const { return fast / 2 + 1; }
  std::size_t slow_values() const { return slow / 2 + 1; }

  FiberTransform(Kernel what, double g_um, const PixelGrid& pixels)
      : of(what),
        g(g_um),
        grid(pixels),
        fast(padded(pixels.fast_pixels)),
        slow(padded(pixels.slow_pixels)) {
    // A transform of an even sequence is a cosine transform of half of it.
    const std::size_t width = fast_values(), height = slow_values();
    std::vector<double> kernel(width * height);
    in_parts(height, 16, [&](std::size_t begin, std::size_t end) {
      const auto rows = std::min(end, static_cast<std::size_t>(grid.slow_pixels));
      for (std::size_t y = begin; y < rows; ++y)
        for (int x = 0; x < grid.fast_pixels; ++x)
          kernel[y * width + static_cast<std::size_t>(x)] = fiber_kernel(of, g, grid, x,
                                                                         static_cast<int>(y));
      double* const first = kernel.data() + begin * width;
      const pocketfft::stride_t strides{bytes(sizeof(double), width), sizeof(double)};
      pocketfft::dct(pocketfft::shape_t{end - begin, width}, strides, strides, {1}, 1, first, first,
                     1.0, false);
    });
    values.resize(width * height);
    const double scale = 1 / (static_cast<double>(fast) * static_cast<double>(slow));
    in_parts(width, 8, [&](std::size_t begin, std::size_t end) {
      const std::size_t columns = end - begin;
      std::vector<double> part(height * columns);
      for (std::size_t y = 0; y < height; ++y)
        std::copy_n(kernel.data() + y * width + begin, columns, part.data() + y * columns);
      const pocketfft::stride_t strides{bytes(sizeof(double), columns), sizeof(double)};
      pocketfft::dct(pocketfft::shape_t{height, columns}, strides, strides, {0}, 1, part.data(),
                     part.data(), scale, false);
      for (std::size_t y = 0; y < height; ++y)
        for (std::size_t x = 0; x < columns; ++x)
          values[y * width + begin + x] = static_cast<Real>(part[y * columns + x]);
    });
  }

  bool is_of(Kernel what, double g_um, const PixelGrid& p) const {
    return of == what && g == g_um && grid.fast_pixels == p.fast_pixels &&
           grid.slow_pixels == p.slow_pixels && grid.fast_um == p.fast_um &&
           grid.slow_um == p.slow_um;
  }
};

/// Panels of a detector are alike, and images of a series have the same: the latest are kept.
template <class Real>
std::shared_ptr<const FiberTransform<Real>> fiber_transform(Kernel of, double g,
                                                            const PixelGrid& grid) {
  constexpr std::size_t kept = 2;
  static std::mutex mutex;
  static std::deque<std::shared_ptr<const FiberTransform<Real>>> latest;
  const auto found = [&] {
    return std::ranges::find_if(latest, [&](const auto& t) { return t->is_of(of, g, grid); });
  };
  {
    const std::scoped_lock lock(mutex);
    if (const auto place = found(); place != latest.end()) return *place;
  }
  // Not under the lock, under which a thread that waits for its part of the work might take another
  // image's
  auto made = std::make_shared<const FiberTransform<Real>>(of, g, grid);
  const std::scoped_lock lock(mutex);
  if (const auto place = found(); place != latest.end()) return *place;
  latest.push_front(made);
  if (latest.size() > kept) latest.pop_back();
  return made;
}

template <class Real>
void spread_fiber(Kernel of, double g, const PixelGrid& grid, std::span<const Real> light,
                  std::span<Real> result) {
  const auto kernel = fiber_transform<Real>(of, g, grid);
  const auto width = static_cast<std::size_t>(grid.fast_pixels),
             height = static_cast<std::size_t>(grid.slow_pixels);
  const std::size_t fast = kernel->fast, slow = kernel->slow, frequencies = kernel->fast_values();
  constexpr std::size_t rows_together = 16;
  const pocketfft::stride_t of_pixels{bytes(sizeof(Real), fast), sizeof(Real)},
      of_frequencies{bytes(sizeof(Complex<Real>), frequencies), sizeof(Complex<Real>)};
  std::vector<Complex<Real>> spectrum(height * frequencies);
  in_parts(height, rows_together, [&](std::size_t begin, std::size_t end) {
    std::vector<Real> rows((end - begin) * fast);
    for (std::size_t y = begin; y < end; ++y)
      std::copy_n(light.data() + y * width, width, rows.data() + (y - begin) * fast);
    pocketfft::r2c(pocketfft::shape_t{end - begin, fast}, of_pixels, of_frequencies, 1, true,
                   rows.data(), spectrum.data() + begin * frequencies, Real(1));
  });
  // A few columns at a time, which fit into a processor's own cache with their padding
  in_parts(frequencies, 64 / sizeof(Complex<Real>), [&](std::size_t begin, std::size_t end) {
    const std::size_t columns = end - begin;
    std::vector<Complex<Real>> part(slow * columns);
    for (std::size_t y = 0; y < height; ++y)
      std::copy_n(spectrum.data() + y * frequencies + begin, columns, part.data() + y * columns);
    const pocketfft::shape_t shape{slow, columns};
    const pocketfft::stride_t strides{bytes(sizeof(Complex<Real>), columns), sizeof(Complex<Real>)};
    pocketfft::c2c(shape, strides, strides, {0}, true, part.data(), part.data(), Real(1));
    for (std::size_t y = 0; y < slow; ++y) {
      const Real* const factors = kernel->values.data() + std::min(y, slow - y) * frequencies +
                                  begin;
      for (std::size_t x = 0; x < columns; ++x) part[y * columns + x] *= factors[x];
    }
    pocketfft::c2c(shape, strides, strides, {0}, false, part.data(), part.data(), Real(1));
    for (std::size_t y = 0; y < height; ++y)
      std::copy_n(part.data() + y * columns, columns, spectrum.data() + y * frequencies + begin);
  });
  in_parts(height, rows_together, [&](std::size_t begin, std::size_t end) {
    std::vector<Real> rows((end - begin) * fast);
    pocketfft::c2r(pocketfft::shape_t{end - begin, fast}, of_frequencies, of_pixels, 1, false,
                   spectrum.data() + begin * frequencies, rows.data(), Real(1));
    for (std::size_t y = begin; y < end; ++y)
      std::copy_n(rows.data() + (y - begin) * fast, width, result.data() + y * width);
  });
}

}  // namespace

double share_of_pixel(const PointSpread& spread, const PixelGrid& grid, int fast, int slow) {
  return share_of_pixel(spread.shape, spread.fwhm_um, grid, fast, slow);
}

double share_slope_of_pixel(const PointSpread& spread, const PixelGrid& grid, int fast, int slow) {
  return share_of_pixel(spread.shape, varied(spread.fwhm_um), grid, fast, slow).slopes[0];
}

double share_on_panel(const PointSpread& spread, const PixelGrid& grid, int fast, int slow) {
  const double right = (grid.fast_pixels - fast - 0.5) * grid.fast_um,
               left = (-0.5 - fast) * grid.fast_um,
               high = (grid.slow_pixels - slow - 0.5) * grid.slow_um,
               low = (-0.5 - slow) * grid.slow_um;
  if (spread.shape == PointSpread::Shape::gauss)
    return share_between(spread.fwhm_um, left, right) * share_between(spread.fwhm_um, low, high);
  const double g = spread.fwhm_um * fiber_g_of_fwhm;
  return fiber_corner(right, high, g) - fiber_corner(right, low, g) - fiber_corner(left, high, g) +
         fiber_corner(left, low, g);
}

template <class Real>
void spread_panel(const PointSpread& spread, const PixelGrid& grid, std::span<const Real> light,
                  std::span<Real> result) {
  if (spread.shape == PointSpread::Shape::gauss)
    spread_gauss(spread.fwhm_um, grid, light, result);
  else
    spread_fiber(Kernel::shares, spread.fwhm_um * fiber_g_of_fwhm, grid, light, result);
}

void spread_panel_slope(const PointSpread& spread, const PixelGrid& grid,
                        std::span<const double> light, std::span<double> result) {
  if (spread.shape == PointSpread::Shape::gauss)
    return spread_gauss_slope(spread.fwhm_um, grid, light, result);
  spread_fiber(Kernel::slopes, spread.fwhm_um * fiber_g_of_fwhm, grid, light, result);
  for (double& x : result) x *= fiber_g_of_fwhm;
}

template void spread_panel(const PointSpread&, const PixelGrid&, std::span<const float>,
                           std::span<float>);
template void spread_panel(const PointSpread&, const PixelGrid&, std::span<const double>,
                           std::span<double>);

}  // namespace nablabragg::readout
