#include "nablabragg/experiment_json.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "nablabragg/error.hpp"
#include "support/every_field.hpp"
#include "support/message_of.hpp"

namespace nablabragg::test {
namespace {

using description::same_value;
using testing::HasSubstr;

std::string refusal_of(const std::string& text) {
  return message_of<InputError>([&] { experiment_from_json(text); });
}

std::string with(const std::string& members) {
  return R"({"schema": "nablabragg.experiment", "version": 1)" +
         (members.empty() ? "" : ", " + members) + "}";
}

TEST(Json, OfAnExperimentBringsEveryFieldBack) {
  const Experiment every = experiment_with_every_field();
  const Experiment again = experiment_from_json(to_json(every), every.structure_factors.grid);
  EXPECT_TRUE(same_value(again, every));
  EXPECT_TRUE(same_value(experiment_from_json(to_json(Experiment())), Experiment()));
}

TEST(Json, KeepsNumbersToTheBitAndInfinities) {
  Experiment e;
  for (const double x :
       {1.0 / 3, -0.0, 5e-324, 1.7976931348623157e308, 1e23, 0.1, 123456789012345680.0,
        std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    e.detector.attenuation_depth_um = x;
    const double back = *experiment_from_json(to_json(e)).detector.attenuation_depth_um;
    EXPECT_EQ(back, x);
    EXPECT_EQ(std::signbit(back), std::signbit(x));
  }
  e.beam.sources = {{{-1, 0, 0}, std::nan(""), 1}};
  EXPECT_THAT(message_of<UsageError>([&] { to_json(e); }),
              HasSubstr("beam.sources[0].weight is no number (NaN)"));
}

TEST(Json, LeavesDefaultsToWhatIsLeftOut) {
  const Experiment e = experiment_from_json(with(R"("detector": {"distance": 150})"));
  EXPECT_EQ(e.detector.distance_mm, 150);
  EXPECT_EQ(e.detector.pixel_mm, Detector().pixel_mm);
}

TEST(Json, IsRefusedWithTheKeyThatIsWrong) {
  EXPECT_THAT(refusal_of("{"), HasSubstr("the text is no JSON: parse error at line 1, column 2: "));
  EXPECT_THAT(refusal_of("[1e999]"), HasSubstr("the text is no JSON: number overflow"));
  EXPECT_THAT(refusal_of("[1]"), HasSubstr("the experiment needs an object, not [1]"));
  EXPECT_THAT(refusal_of("{}"), HasSubstr("schema is missing"));
  EXPECT_THAT(refusal_of(R"({"schema": "other", "version": 1})"),
              HasSubstr(R"(schema needs "nablabragg.experiment", not "other")"));
  EXPECT_THAT(refusal_of(R"({"schema": "nablabragg.experiment", "version": 2})"),
              HasSubstr("version is 2, and this program reads version 1"));
  EXPECT_THAT(
      refusal_of(with(R"("detectors": {})")),
      HasSubstr(
          "detectors is no key of an experiment; it has crystal, more_crystals, beam, detector"));
  EXPECT_THAT(refusal_of(with(R"("beam": {"wave": 1})")),
              HasSubstr("beam.wave is no key of an experiment; beam has wavelength, direction"));
  EXPECT_THAT(refusal_of(with(R"("beam": {"wavelength": "1"})")),
              HasSubstr(R"(beam.wavelength needs a number, not "1")"));
  EXPECT_THAT(refusal_of(with(R"("beam": {"direction": [1, 2]})")),
              HasSubstr("beam.direction needs a list of 3, not [1,2]"));
  EXPECT_THAT(refusal_of(with(R"("beam": {"sources": [{"weight": true}]})")),
              HasSubstr("beam.sources[0].weight needs a number, not true"));
  EXPECT_THAT(refusal_of(with(R"("crystal": {"shape": "cube"})")),
              HasSubstr(R"(crystal.shape needs one of "square", "round")"));
  EXPECT_THAT(refusal_of(with(R"("crystal": {"mosaic_domains": 2.5})")),
              HasSubstr("crystal.mosaic_domains needs a whole number, not 2.5"));
  EXPECT_THAT(refusal_of(with(R"("crystal": {"mosaic_domains": 3000000000})")),
              HasSubstr("crystal.mosaic_domains needs a whole number"));
  EXPECT_THAT(refusal_of(with(R"("mode": ["Q-99"])")), HasSubstr("mode needs \"corrected\""));
  EXPECT_THAT(refusal_of(with(R"("sampling": {"mask": {"fast_pixels": 2, "slow_pixels": 2,
                                             "runs": [1, 2]}})")),
              HasSubstr("sampling.mask.runs does not fill the mask's pixels"));
}

TEST(Json, WantsTheTableOfStructureFactorsThatItNames) {
  const Experiment every = experiment_with_every_field();
  const std::string text = to_json(every);
  EXPECT_THAT(refusal_of(text),
              HasSubstr("structure_factors.F is a table that is not stored here "
                        "(h -1..1, k 0..1, l 2..3); give the experiment's table"));
  auto other = std::make_shared<StructureFactorGrid>(*every.structure_factors.grid);
  other->values()[0] += 1;
  EXPECT_THAT(message_of<InputError>([&] { experiment_from_json(text, other); }),
              HasSubstr("other values"));
  const auto small = std::make_shared<StructureFactorGrid>(MillerIndex{}, MillerIndex{}, 1.0);
  EXPECT_THAT(message_of<InputError>([&] { experiment_from_json(text, small); }),
              HasSubstr("the one given has h 0..0"));
  EXPECT_THAT(message_of<InputError>([&] { experiment_from_json(to_json(Experiment()), small); }),
              HasSubstr("has no table, and one is given"));
  EXPECT_THAT(message_of<InputError>([&] { experiment_from_json(with(""), small); }),
              HasSubstr("has no table, and one is given"));
}

TEST(Json, TellsItsStructureFactorsWithoutTheirTable) {
  Experiment e;
  e.structure_factors.default_F = 12.5;
  e.structure_factors.grid = std::make_shared<StructureFactorGrid>(MillerIndex{}, MillerIndex{},
                                                                   1.0);
  const StructureFactors told = structure_factors_from_json(to_json(e));
  EXPECT_EQ(told.default_F, 12.5);
  EXPECT_EQ(told.grid, nullptr);
  EXPECT_EQ(structure_factors_from_json(with("")).default_F, StructureFactors().default_F);
  EXPECT_THAT(message_of<InputError>([&] {
                structure_factors_from_json(with(R"("structure_factors": {"default": 1})"));
              }),
              HasSubstr("structure_factors.default is no key"));
}

ResponseMaps maps_of(const DetectorResponse& r) { return {r.calibration_map, r.gain_map}; }

std::string refusal_of_response(const std::string& response, const ResponseMaps& maps = {}) {
  return message_of<InputError>(
      [&] { response_from_json(with("\"response\": " + response), maps); });
}

TEST(Json, BringsEveryFieldOfADetectorsResponseBackBesideItsExperiment) {
  const Experiment every = experiment_with_every_field();
  const DetectorResponse response = response_with_every_field();
  const std::string text = to_json(every, response);
  const auto again = response_from_json(text, maps_of(response));
  ASSERT_TRUE(again);
  description::for_each_field<DetectorResponse>([&](const auto& row) {
    EXPECT_TRUE(same_value(row.get(*again), row.get(response))) << row.name;
    EXPECT_FALSE(same_value(row.get(*again), row.get(DetectorResponse()))) << row.name;
  });
  EXPECT_TRUE(same_value(experiment_from_json(text, every.structure_factors.grid), every));
}

TEST(Json, WithoutAResponseHasNone) {
  EXPECT_FALSE(response_from_json(to_json(Experiment())));
  EXPECT_FALSE(response_from_json(with(R"("response": null)")));
  const auto counting = response_from_json(with(R"("response": {})"));
  ASSERT_TRUE(counting);
  EXPECT_EQ(counting->kind, DetectorResponse::Kind::counting);
  EXPECT_EQ(counting->offset, DetectorResponse().offset);
}

TEST(Json, RefusesAResponseByTheKeyThatIsWrong) {
  EXPECT_THAT(
      refusal_of_response(R"({"gain": 2})"),
      HasSubstr("response.gain is no key of an experiment; response has kind, point_spread"));
  EXPECT_THAT(refusal_of_response("[]"), HasSubstr("response needs an object, not []"));
  EXPECT_THAT(refusal_of_response(R"({"kind": "ccd"})"),
              HasSubstr(R"(response.kind needs one of "counting", "integrating", not "ccd")"));
  EXPECT_THAT(refusal_of_response(R"({"point_spread": {"fwhm": "wide"}})"),
              HasSubstr(R"(response.point_spread.fwhm needs a number, not "wide")"));
  EXPECT_THAT(refusal_of(with(R"("response": {"offsets": 1})")),
              HasSubstr("response.offsets is no key"));
}

TEST(Json, WantsTheMapsThatAResponseNames) {
  DetectorResponse response;
  response.kind = DetectorResponse::Kind::integrating;
  response.gain_map = std::make_shared<PixelFactors>(PixelFactors{1, 0.5, 2});
  const std::string text = to_json(Experiment(), response);
  const auto refused = [&](const ResponseMaps& maps) {
    return message_of<InputError>([&] { response_from_json(text, maps); });
  };
  const auto map = [](PixelFactors factors) {
    return std::make_shared<const PixelFactors>(std::move(factors));
  };
  EXPECT_THAT(refused({}), HasSubstr("response.gain_map is a map of 3 pixels that is not stored "
                                     "here; give the detector's map"));
  EXPECT_THAT(refused({nullptr, map({1, 2})}), HasSubstr("and the one given has 2"));
  EXPECT_THAT(refused({nullptr, map({1, 0.5, 3})}), HasSubstr("other factors"));
  EXPECT_THAT(refused({map({1, 2, 3}), response.gain_map}),
              HasSubstr("response.calibration_map is null"));
  EXPECT_THAT(refusal_of_response("{}", {nullptr, map({1})}),
              HasSubstr("response.gain_map is missing"));
  experiment_from_json(text);  // the experiment needs none of them
}

}  // namespace
}  // namespace nablabragg::test
