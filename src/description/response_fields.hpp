// The fields of a detector's response, one row a field, under their names in JSON: what fields.hpp
// is for an experiment.
#pragma once
#include "description/fields.hpp"  // for has_a_row_for_each_member
#include "nablabragg/detector_response.hpp"

namespace nablabragg::description {

template <>
struct Choices<PointSpread::Shape> {
  static constexpr std::array all{Choice{PointSpread::Shape::gauss, "gauss"},
                                  Choice{PointSpread::Shape::fiber, "fiber"}};
};
template <>
struct Choices<DetectorResponse::Kind> {
  static constexpr std::array all{Choice{DetectorResponse::Kind::counting, "counting"},
                                  Choice{DetectorResponse::Kind::integrating, "integrating"}};
};
template <>
struct Choices<DetectorResponse::DeadTime> {
  static constexpr std::array all{
      Choice{DetectorResponse::DeadTime::nonparalysable, "nonparalysable"},
      Choice{DetectorResponse::DeadTime::paralysable, "paralysable"}};
};

template <>
struct Fields<PointSpread> {
  using P = PointSpread;
  static constexpr std::tuple rows{
      field("shape", &P::shape, "", "of the light that arrives in the middle of a pixel"),
      field("fwhm", &P::fwhm_um, "um", "full width at half maximum")};
};

template <>
struct Fields<DetectorResponse> {
  using P = DetectorResponse;
  static constexpr std::tuple rows{
      field("kind", &P::kind, "", "photons that are counted, or charge that is digitized"),
      field("point_spread", &P::point_spread, "", "how light is spread over the panel"),
      field("flicker", &P::flicker, "", "of the beam's intensity, image by image"),
      field("calibration", &P::calibration, "", "of what pixels absorb"),
      field("calibration_seed", &P::calibration_seed, "", "of the patterns of the panels"),
      field("calibration_map", &P::calibration_map, "", "factors of what each pixel absorbs"),
      field("dead_pixels", &P::dead_pixels, "", "share of the pixels that see nothing"),
      field("hot_pixels", &P::hot_pixels, "", "share of those that hold the largest count"),
      field("dead_time", &P::dead_time_ns, "ns", "after each photon"),
      field("dead_time_model", &P::dead_time_model, "", "which photons begin it"),
      field("photon_spread", &P::photon_spread, "", "of the signal of one photon"),
      field("photon_charge", &P::photon_charge_e, "electrons", "of one photon"),
      field("dark_current", &P::dark_current_e_s, "electrons/s", "of a pixel"),
      field("full_well", &P::full_well_e, "electrons", "the largest charge of a pixel"),
      field("gain_spread", &P::gain_spread, "", "of the gain, pixel by pixel"),
      field("gain_map", &P::gain_map, "", "factors of the panel's gain"),
      field("readout_noise", &P::readout_noise, "counts", "of the readout"),
      field("offset", &P::offset, "counts", "of every pixel"),
      field("bits", &P::bits, "", "of counter or converter")};
};
static_assert(has_a_row_for_each_member<PointSpread>());
static_assert(has_a_row_for_each_member<DetectorResponse>());

}  // namespace nablabragg::description
