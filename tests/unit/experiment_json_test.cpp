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
  EXPECT_THAT(refusal_of("{"), HasSubstr("the text is no JSON"));
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

}  // namespace
}  // namespace nablabragg::test
