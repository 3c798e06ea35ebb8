// What the page of `nablabragg view` asks and is answered: an experiment whose parameters change,
// its image, what the image's numbers come from, and a measured one beside it.
//
// A page holds its changes itself and sends them with each question, as [["misset", [1, 2, 3]],
// ...]: they are made one after the other to the experiment of the command line.  docs/view.md
// lists questions and answers.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>
#include "nablabragg/image.hpp"
#include "nablabragg/refine.hpp"
#include "nablabragg/settled.hpp"
#include "nablabragg/simulate.hpp"
#include "view/server.hpp"  // for Pages

namespace nablabragg::view {

struct Start {
  Experiment experiment;
  /// Flags that state it, or as much of an experiment that a file states as makes one.
  std::vector<std::string> arguments;
  Experiment files;  ///< has read the files that they name, as flags_of() takes it
  ComputeOptions compute;
  std::vector<std::string> notices;  ///< what was decided for the user, one sentence each
  std::optional<Measurement> measured;
  std::string measured_name;
  /// The steps of a pixel, as -trace_pixel prints them in JSON.
  std::function<std::string(const Experiment&, const PixelIndex&)> trace;
  std::function<bool()> stopped;  ///< whether the program is to end
};

/// What one tab of a browser has under way.
class Tab;

/// Answers any number of tabs, each of which may ask several things at once.  An image that is
/// being made for a tab ends when the tab asks for a newer one, or is closed.
class Session {
 public:
  /// Throws UsageError for what is no experiment.
  explicit Session(Start start);
  ~Session();

  /// For a Server; they refer to the session.
  Pages pages();

 private:
  using Answer = Reply (Session::*)(const Question&);

  Reply describe(const Question&);
  Reply state(const Question&);
  Reply frame(const Question&);
  Reply pixel(const Question&);
  Reply trace(const Question&);
  Reply refine(const Question&);
  Reply progress(const Question&);
  Reply stop_refining(const Question&);

  std::shared_ptr<Tab> tab_of(const Question&);

  Start start_;
  SettledExperiment settled_;
  std::vector<float> measured_photons_;  ///< of each pixel; NaN: no measurement
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Tab>> tabs_;
};

}  // namespace nablabragg::view
