// nablabragg view without a browser: what is served to whom, and that images, derivatives and texts
// are those of the library.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "flags/command_line.hpp"
#include "flags/inputs.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/gradient.hpp"
#include "nablabragg/simulate.hpp"
#include "support/http.hpp"
#include "support/program_test.hpp"

namespace nablabragg {
namespace {

using nlohmann::json;
using test::HttpReply;
using test::Outcome;
using testing::HasSubstr;
using testing::StartsWith;
using Clock = std::chrono::steady_clock;

const std::string crystal =
    "-corrected -cell 70 80 90 90 90 90 -default_F 100 -N 5 -lambda 1 -distance 60 -pixel 0.5 "
    "-detpixels_f 31 -detpixels_s 24 -misset 10 20 30 -oversample 1 ";
/// Minutes of work
const std::string expensive =
    "-corrected -cell 50 60 70 90 90 90 -N 5 -default_F 10 -detpixels 512 -oversample 4 "
    "-hdivrange 2 -hdivsteps 25 -vdivrange 2 -vdivsteps 25 -mosaic 0.5 -mosaic_domains 100 ";

/// A page that is served, and the one tab that looks on.
class Served {
 public:
  Served(const std::filesystem::path& folder, const std::string& arguments,
         const std::string& options = "--no-browser ", const test::Environment& more = {})
      : running_(test::start_program(folder, test::split_arguments("view " + options + arguments),
                                     more)) {
    const auto begin = Clock::now();
    while (address_.empty() && Clock::now() - begin < std::chrono::seconds(30)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      std::ifstream in(running_.out);
      std::getline(in, address_);
      if (in.eof()) address_.clear();
      int status = 0;
      if (waitpid(running_.process, &status, WNOHANG) != 0) {
        ended_ = true;
        throw std::runtime_error("view has ended: " + test::read_file(running_.err));
      }
    }
    const std::size_t colon = address_.rfind(':'), slash = address_.find('/', colon);
    port_ = std::stoi(address_.substr(colon + 1, slash - colon - 1));
    token_ = address_.substr(slash + 1, address_.size() - slash - 2);
    open_tab("0123456789abcdef");
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;
  ~Served() {
    if (!ended_) stop();
  }

  /// Ctrl-C.
  Outcome stop(int signal = SIGINT) {
    ended_ = true;
    kill(running_.process, signal);
    return test::outcome_of(running_);
  }

  /// Keeps the stream of events of a tab.
  void open_tab(const std::string& name) {
    stream_ = std::make_unique<test::Connection>(port_);
    stream_->send("GET /" + token_ + "/tab?name=" + name + " HTTP/1.1\r\n" + host() + "\r\n");
    std::string head;
    while (head.find("here") == std::string::npos) {
      const std::string some = stream_->receive();
      if (some.empty()) throw std::runtime_error("no stream of events: " + head);
      head += some;
    }
    tab_ = name;
  }
  void close_tab() { stream_->close(); }

  std::string host() const { return "Host: 127.0.0.1:" + std::to_string(port_) + "\r\n"; }
  HttpReply get(const std::string& path, const std::string& headers = {}) const {
    return test::http(port_, "GET " + path, headers.empty() ? host() : headers);
  }
  HttpReply post(const std::string& name, const json& question,
                 const std::string& headers = {}) const {
    return test::http(port_, "POST /" + token_ + "/" + name,
                      (headers.empty() ? host() : headers) + "X-Tab: " + tab_ + "\r\n",
                      question.dump());
  }
  json ask(const std::string& name, const json& question) const {
    const HttpReply reply = post(name, question);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return json::parse(reply.body);
  }
  std::vector<float> frame(json question) {
    question["number"] = ++number_;
    const HttpReply reply = post("frame", question);
    EXPECT_EQ(reply.status, 200) << reply.body;
    std::vector<float> values(reply.body.size() / sizeof(float));
    std::memcpy(values.data(), reply.body.data(), values.size() * sizeof(float));
    facts = json::parse(reply.header("X-Frame"));
    return values;
  }

  int port() const { return port_; }
  pid_t process() const { return running_.process; }
  const std::string& token() const { return token_; }
  const std::string& address() const { return address_; }
  json facts;  ///< of the latest frame

 private:
  test::Running running_;
  std::string address_, token_, tab_;
  int port_ = 0, number_ = 0;
  bool ended_ = false;
  std::unique_ptr<test::Connection> stream_;
};

class View : public test::ProgramTest {
 protected:
  /// A command line that the page states, and more, run elsewhere.
  Outcome run_stated(const std::string& command_line, const std::string& more = {}) const {
    EXPECT_THAT(command_line, StartsWith("nablabragg "));
    Outcome outcome = test::run_program(elsewhere.path(),
                                        command_line.substr(11) + " -quiet " + more);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome;
  }
  /// The image of one that ends with -floatfile image.bin.
  std::vector<float> image_of(const std::string& command_line) const {
    run_stated(command_line);
    return test::read_floats(elsewhere / "image.bin");
  }

  test::TempDir elsewhere;
};

using Changes = std::vector<std::pair<std::string, std::vector<double>>>;

/// A question about the experiment with these changes.
json with(const Changes& changes, json more = json::object()) {
  more["changes"] = json::array();
  for (const auto& [name, values] : changes) more["changes"].push_back(json::array({name, values}));
  return more;
}

const json no_changes = with({});

// ---- Who is served ----------------------------------------------------------------------------

TEST_F(View, PrintsTheAddressAloneAndServesThePageBehindIt) {
  Served page(folder.path(), crystal);
  EXPECT_THAT(page.address(), testing::MatchesRegex("http://127\\.0\\.0\\.1:[0-9]+/[0-9a-f]{32}/"));
  const HttpReply first = page.get("/" + page.token() + "/");
  EXPECT_EQ(first.status, 200);
  EXPECT_THAT(first.body, HasSubstr("<!doctype html>"));
  EXPECT_THAT(first.header("Content-Security-Policy"), HasSubstr("default-src 'none'"));
  EXPECT_EQ(first.header("Referrer-Policy"), "no-referrer");
  EXPECT_THAT(page.get("/" + page.token() + "/main.js").header("Content-Type"),
              HasSubstr("javascript"));
  EXPECT_EQ(page.stop().out, page.address() + "\n");
}

TEST_F(View, HasAnotherTokenEachTime) {
  const Served one(folder.path(), crystal);
  const Served other(elsewhere.path(), crystal);
  EXPECT_NE(one.token(), other.token());
}

TEST_F(View, WithoutTheTokenServesNothing) {
  Served page(folder.path(), crystal);
  const std::string wrong(32, '0');
  for (const std::string& path :
       {std::string("/"), std::string("/main.js"), "/" + wrong + "/", "/" + wrong + "/main.js",
        "/" + page.token(), "/" + page.token().substr(1) + "/", "/" + page.token() + "0/",
        "/?" + page.token(), "//" + page.token() + "/"}) {
    const HttpReply reply = page.get(path);
    EXPECT_EQ(reply.status, 404) << path;
    EXPECT_EQ(reply.body, R"({"error":"there is nothing here"})") << path;
  }
  const HttpReply asked = test::http(page.port(), "POST /" + wrong + "/frame",
                                     page.host() + "X-Tab: 0123456789abcdef\r\n",
                                     R"({"changes": [], "number": 1})");
  EXPECT_EQ(asked.status, 404);
}

TEST_F(View, NamesWithSlashesAndDotsReachNoFile) {
  folder.file("secret.txt", "secret");
  Served page(folder.path(), crystal);
  for (const char* const name :
       {"../secret.txt", "..%2fsecret.txt", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "secret.txt",
        "./secret.txt", "main.js/", "main.js%00", "view/page/main.js"}) {
    const HttpReply reply = page.get("/" + page.token() + "/" + std::string(name));
    EXPECT_EQ(reply.status, 404) << name;
    EXPECT_EQ(reply.body, R"({"error":"there is nothing here"})") << name;
  }
  for (const char* const method : {"PUT", "DELETE", "PATCH", "OPTIONS"})
    EXPECT_GE(test::http(page.port(), std::string(method) + " /" + page.token() + "/main.js",
                         page.host(), "x")
                  .status,
              400)
        << method;
}

TEST_F(View, AnswersNumbersOfHostsAndLocalhostAlone) {
  Served page(folder.path(), crystal);
  const std::string path = "/" + page.token() + "/", port = ":" + std::to_string(page.port());
  for (const std::string& host :
       {"127.0.0.1" + port, "localhost" + port, "[::1]" + port, std::string("localhost:1")})
    EXPECT_EQ(page.get(path, "Host: " + host + "\r\n").status, 200) << host;
  for (const std::string& host : {std::string("example.org"), "example.org" + port,
                                  "127.0.0.1.example.org" + port, std::string()})
    EXPECT_EQ(page.get(path, "Host: " + host + "\r\n").status, 403) << host;
  EXPECT_GE(page.get(path, "Accept: */*\r\n").status, 400);
  EXPECT_EQ(page.get(path, page.host() + "Host: example.org\r\n").status, 403);
}

TEST_F(View, DoesNotAnswerPagesOfOtherOrigins) {
  Served page(folder.path(), crystal);
  const std::string own = "http://127.0.0.1:" + std::to_string(page.port());
  EXPECT_EQ(page.post("session", json::object(), page.host() + "Origin: " + own + "\r\n").status,
            200);
  for (const std::string& origin :
       {std::string("http://example.org"), std::string("null"), own + "0",
        std::string("https://127.0.0.1:") + std::to_string(page.port())})
    EXPECT_EQ(
        page.post("session", json::object(), page.host() + "Origin: " + origin + "\r\n").status,
        403)
        << origin;
}

TEST_F(View, ComputesForOpenTabsAlone) {
  Served page(folder.path(), crystal);
  const std::string path = "POST /" + page.token() + "/session";
  EXPECT_EQ(test::http(page.port(), path, page.host(), "{}").status, 409);
  EXPECT_EQ(test::http(page.port(), path, page.host() + "X-Tab: 0000000000000000\r\n", "{}").status,
            409);
  EXPECT_EQ(page.get("/" + page.token() + "/tab?name=../../x").status, 400);
}

TEST_F(View, WritesNothing) {
  {
    Served page(folder.path(), crystal);
    page.frame(no_changes);
    page.ask("state", no_changes);
    page.stop();
  }
  EXPECT_THAT(folder.names(), testing::IsEmpty());
}

TEST_F(View, OpensABrowserThatIsNotToldTheTokenWhereOthersSeeIt) {
  const std::string browser = folder.file("xdg-open",
                                          "#!/bin/sh\nprintf '%s\\n' \"$*\" > told.tmp\n"
                                          "cp -p \"$1\" shown\nmv told.tmp told\n");
  std::filesystem::permissions(browser, std::filesystem::perms::owner_all);
  Served page(folder.path(), crystal, "", {{"PATH", folder.path().string() + ":/usr/bin:/bin"}});
  const auto begin = Clock::now();
  while (!std::filesystem::exists(folder / "told") &&
         Clock::now() - begin < std::chrono::seconds(20))
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::string told = folder.content("told");
  told.pop_back();
  EXPECT_THAT(told, testing::Not(HasSubstr(page.token())));
  EXPECT_THAT(folder.content("shown"), HasSubstr("url=" + page.address()));
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(folder / "shown").permissions(),
            perms::owner_read | perms::owner_write);
  EXPECT_EQ(std::filesystem::status(std::filesystem::path(told).parent_path()).permissions(),
            perms::owner_all);
  page.stop();
  EXPECT_FALSE(std::filesystem::exists(told));
}

TEST_F(View, WithoutABrowserItSaysSo) {
  Served page(folder.path(), crystal, "", {{"PATH", folder.path().string()}});
  const Outcome outcome = page.stop();
  EXPECT_EQ(outcome.out, page.address() + "\n");
  EXPECT_THAT(outcome.err, HasSubstr("open the address above"));
}

// ---- What is answered -------------------------------------------------------------------------

TEST_F(View, ShowsTheImageOfTheFlagsThatItStates) {
  Served page(folder.path(), crystal);
  const json some = with(
      {{"misset", {11.5, 19, 33}}, {"distance", {61.25}}, {"beam_center", {7.5, 6.25}}});
  const json state = page.ask("state", some);
  EXPECT_THAT(state.at("not_in_flags"), testing::IsEmpty());
  const std::vector<float> shown = page.frame(some);
  ASSERT_EQ(shown.size(), 31U * 24U);
  EXPECT_EQ(shown, image_of(state.at("command_line")));
  EXPECT_NE(shown, page.frame(no_changes));
  EXPECT_EQ(page.frame(some), shown);
  // The same by JSON
  const Experiment e = experiment_from_json(state.at("experiment").get<std::string>());
  EXPECT_EQ(simulate(e).image.pixels, shown);
}

/// What flags state, as JSON.
std::string json_of(const std::string& flags,
                    const std::optional<DetectorResponse>& response = std::nullopt) {
  return to_json(flags::parse_command_line(test::split_arguments(flags)).experiment, response);
}

TEST_F(View, TakesAnExperimentInJson) {
  folder.file("experiment.json", json_of(crystal));
  elsewhere.file("experiment.json", json_of(crystal));
  Served page(folder.path(), "experiment.json");
  const json changes = with({{"misset", {11.5, 19, 33}}}), state = page.ask("state", changes);
  EXPECT_THAT(state.at("not_in_flags"), testing::IsEmpty());
  const std::vector<float> shown = page.frame(changes);
  EXPECT_EQ(shown, image_of(state.at("command_line")));
  EXPECT_EQ(
      page.frame(no_changes),
      simulate(flags::parse_command_line(test::split_arguments(crystal)).experiment).image.pixels);
  const Experiment e = experiment_from_json(state.at("experiment").get<std::string>());
  EXPECT_EQ(simulate(e).image.pixels, shown);
}

TEST_F(View, TakesTheStructureFactorsOfAnExperimentInJsonFromItsFlags) {
  const std::string list = folder.file("some.hkl", "1 0 0 50\n0 1 2 300\n3 -2 1 70\n");
  flags::Request request = flags::parse_command_line(
      test::split_arguments(crystal + "-hkl " + list));
  flags::load_inputs(request);
  folder.file("e.json", to_json(request.experiment));
  Served page(folder.path(), "e.json -hkl some.hkl -threads 1");
  EXPECT_EQ(page.frame(no_changes), simulate(request.experiment).image.pixels);
  page.stop();
  folder.file("other.hkl", "1 0 0 50\n0 1 2 301\n3 -2 1 70\n");
  EXPECT_THAT(run("view --no-browser e.json -hkl other.hkl").err,
              HasSubstr("e.json: structure_factors.F is a table with other values"));
  EXPECT_THAT(run("view --no-browser e.json").err,
              HasSubstr("e.json: structure_factors.F is a table that is not stored here"));
}

TEST_F(View, OfAnExperimentThatIsRecordedShowsThePhotons) {
  DetectorResponse counter;
  counter.dead_time_ns = 100;
  folder.file("e.json", json_of(crystal, counter));
  Served page(folder.path(), "e.json");
  EXPECT_THAT(page.ask("session", {}).at("notices").dump(),
              HasSubstr("e.json: the response of its detector is left out"));
  EXPECT_EQ(
      page.frame(no_changes),
      simulate(flags::parse_command_line(test::split_arguments(crystal)).experiment).image.pixels);
}

TEST_F(View, TakesTheExperimentWithinAnNxmxFileWhereNoFlagsStateOne) {
  good_run(crystal + "-sensor Si 450 -nonoise -o still.nxs");
  Served page(folder.path(), "still.nxs");
  const std::vector<float> model = page.frame(no_changes);
  EXPECT_EQ(page.frame({{"changes", json::array()}, {"show", "measured"}}), model);
  EXPECT_EQ(page.ask("session", {}).at("measured"), "still.nxs");
  elsewhere.file("still.nxs", folder.content("still.nxs"));
  Served other(elsewhere.path(), "still.nxs " + crystal + "-sensor Si 450 -misset 1 2 3");
  EXPECT_NE(other.frame(no_changes), model);
  EXPECT_EQ(other.frame({{"changes", json::array()}, {"show", "measured"}}), model);
  page.stop();
  good_run(crystal + "-sensor Si 450 -osc 1 -images 2 -nonoise -o scan.nxs");
  EXPECT_THAT(run("view --no-browser scan.nxs").err,
              HasSubstr("\"scan.nxs\" holds 2 images, and the experiment in it is that of their "
                        "series"));
}

TEST_F(View, TakesGeometryAndCrystalOfADxtbxExperimentList) {
  good_run(crystal + "-sensor Si 450 -nonoise -o still.expt");
  Served page(folder.path(),
              "still.expt -corrected -default_F 100 -N 5 -oversample 1 -sensor Si 450");
  const std::vector<float> shown = page.frame(no_changes);
  const json state = page.ask("state", no_changes);
  EXPECT_EQ(shown.size(), 31U * 24U);
  elsewhere.file("still.expt", folder.content("still.expt"));
  EXPECT_EQ(shown, image_of(state.at("command_line")));
  const auto mine = simulate(
                        flags::parse_command_line(test::split_arguments(crystal + "-sensor Si 450"))
                            .experiment)
                        .image.pixels;
  double off = 0, all = 0;
  for (std::size_t i = 0; i < mine.size(); ++i) {
    off += std::abs(static_cast<double>(shown[i] - mine[i]));
    all += static_cast<double>(mine[i]);
  }
  EXPECT_LT(off, 1e-4 * all);
}

TEST_F(View, SaysWhichFileIsNoneOfThese) {
  folder.file("e.json", json_of(crystal));
  folder.file("list.json", R"({"schema": "other", "version": 1})");
  const auto complaint = [&](const std::string& words) {
    const Outcome outcome = run("view --no-browser " + words);
    EXPECT_NE(outcome.exit_code, 0) << words;
    return outcome.err;
  };
  EXPECT_THAT(complaint("e.json -distance 90"), HasSubstr("the flags state the experiment twice"));
  EXPECT_THAT(complaint("e.json e.json"),
              HasSubstr("\"e.json\" and \"e.json\" both hold an experiment"));
  EXPECT_THAT(complaint("--gain 2 e.json"),
              HasSubstr("--gain and --offset are of a measured image"));
  EXPECT_THAT(complaint("list.json"),
              HasSubstr(R"(list.json: schema needs "nablabragg.experiment", not "other")"));
  EXPECT_THAT(complaint("none.json"), HasSubstr("none.json"));
  EXPECT_THAT(complaint(""), HasSubstr("view needs an experiment, as flags or as a file"));
  EXPECT_THAT(run("show e.json").err, HasSubstr("e.json: is JSON and no image; nablabragg view "
                                                "shows the image of an experiment in JSON"));
}

TEST_F(View, ShowsTheImageOfItsFlagsInClosedForm) {
  Served page(folder.path(), crystal +
                                 "-gauss_xtal -mosaic 0.5 -mosaic_model gaussian -water 0.1 "
                                 "-fluence 1e24 -phi 3 -osc 1");
  const json changes = with(
      {{"mosaic_spread", {0.7}}, {"wavelength", {1.02}}, {"misset", {1, 2, 3}}});
  page.frame(no_changes);
  EXPECT_EQ(page.frame(changes), image_of(page.ask("state", changes).at("command_line")));
  EXPECT_EQ(page.ask("session", {}).at("closed_form"), true);
}

TEST_F(View, ACoarseImageHasEveryOtherPixelOfTheImage) {
  Served page(folder.path(), crystal + "-water 0.2");
  const std::vector<float> all = page.frame(no_changes),
                           some = page.frame({{"changes", json::array()}, {"every", 4}});
  ASSERT_EQ(some.size(), 8U * 6U);
  for (std::size_t slow = 0; slow < 6; ++slow)
    for (std::size_t fast = 0; fast < 8; ++fast)
      EXPECT_EQ(some[8 * slow + fast], all[31 * 4 * slow + 4 * fast]) << fast << ' ' << slow;
  EXPECT_EQ(page.facts.at("every"), 4);
}

TEST_F(View, DraggingTurnsTheCrystalAsMissetOfItsAnswerDoes) {
  Served page(folder.path(), crystal + "-phi 20 -osc 1");
  const json turn = {{"from", {{"fast", 20}, {"slow", 12}}}, {"to", {{"fast", 22}, {"slow", 9}}}};
  const std::vector<float> turned = page.frame(with({{"misset", {12, 20, 30}}}, {{"turn", turn}}));
  const auto misset = page.facts.at("misset").get<std::vector<double>>();
  EXPECT_NE(misset, (std::vector<double>{12, 20, 30}));
  const json changes = with({{"misset", misset}});
  EXPECT_EQ(turned, page.frame(changes));
  EXPECT_EQ(turned, image_of(page.ask("state", changes).at("command_line")));
}

TEST_F(View, ADerivativeIsThatOfTheLibrary) {
  Served page(folder.path(), crystal);
  const std::vector<float> shown = page.frame(with(
      {{"misset", {10, 20, 31}}}, {{"show", "slopes"}, {"parameter", "misset"}, {"index", 1}}));
  Experiment e = flags::parse_command_line(test::split_arguments(crystal)).experiment;
  e.crystal.misset_deg = {10, 20, 31};
  const std::vector<double> slopes = jvp(e, {{"misset", {0, 1, 0}}}, visited_pixels(e));
  ASSERT_EQ(shown.size(), slopes.size());
  double most = 0;
  for (std::size_t i = 0; i < slopes.size(); ++i) {
    EXPECT_EQ(shown[i], static_cast<float>(slopes[i])) << i;
    most = std::max(most, std::abs(slopes[i]));
  }
  EXPECT_GT(most, 0);
}

TEST_F(View, TheTraceOfAPixelIsThatOfTheProgram) {
  Served page(folder.path(), crystal);
  const json changes = with({{"misset", {10, 20, 31}}});
  json question = changes;
  question.update({{"fast", 7}, {"slow", 5}});
  const Outcome outcome = run_stated(page.ask("state", changes).at("command_line"),
                                     "-trace_pixel 5 7 -trace_format json");
  EXPECT_EQ(page.ask("trace", question), json::parse(outcome.out));
}

TEST_F(View, SaysWhatIsUnderThePointer) {
  Served page(folder.path(), crystal);
  const json trace = page.ask("trace", {{"changes", json::array()}, {"fast", 7}, {"slow", 5}}),
             seen = page.ask("pixel", {{"changes", json::array()}, {"fast", 7.5}, {"slow", 5.5}});
  const json hkl = trace.at("trace").at(0).at("hkl");
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(seen.at("hkl").at(i).get<double>(), hkl.at(i).get<double>(), 1e-6);
  const json q = trace.at("trace").at(0).at("q_per_m");
  EXPECT_NEAR(
      seen.at("d_A").get<double>(),
      1e10 / std::hypot(q.at(0).get<double>(), q.at(1).get<double>(), q.at(2).get<double>()), 1e-6);
}

TEST_F(View, EveryPointOfARingHasItsResolution) {
  Served page(folder.path(), crystal + "-twotheta 20 ");
  const json state = page.ask("state", {{"changes", json::array()}, {"rings", {10.0, 0.2}}});
  std::size_t points = 0;
  for (const json& part : state.at("rings").at(0).at("parts"))
    for (const json& point : part) {
      ++points;
      const json seen = page.ask(
          "pixel", {{"changes", json::array()}, {"fast", point.at(0)}, {"slow", point.at(1)}});
      EXPECT_NEAR(seen.at("d_A").get<double>(), 10, 1e-6);
      if (points > 40) break;
    }
  EXPECT_GT(points, 5U);
  EXPECT_TRUE(state.at("rings").at(1).at("parts").empty());
}

TEST_F(View, RefinesAgainstAMeasuredImage) {
  const std::string model =
      "-corrected -cell 40 50 60 90 90 90 -default_F 200 -N 30 -gauss_xtal -mosaic 0.3 "
      "-mosaic_model gaussian -lambda 1 -distance 100 -pixel 0.5 -detpixels 64 -fluence 1e27 "
      "-water 0.05 ";
  good_run(model + "-misset 10 20 30 -seed 1 -noisefile seen.img -quiet");
  Served page(folder.path(), "seen.img " + model + "-misset 10.08 19.95 30.06");
  EXPECT_EQ(page.ask("session", {}).at("measured"), "seen.img");
  page.frame(no_changes);
  const double before = page.facts.at("sum_of_squares");
  const json refined = page.ask("refine", {{"changes", json::array()}, {"refine", {"misset"}}});
  EXPECT_EQ(refined.at("stopped"), false);
  ASSERT_EQ(refined.at("changes").size(), 1U);
  const json misset = refined.at("changes").at(0).at(1);
  EXPECT_NEAR(misset.at(0).get<double>(), 10, 0.01);
  EXPECT_NEAR(misset.at(1).get<double>(), 20, 0.01);
  EXPECT_NEAR(misset.at(2).get<double>(), 30, 0.01);
  const std::vector<float> model_now = page.frame({{"changes", refined.at("changes")}});
  EXPECT_LT(page.facts.at("sum_of_squares").get<double>(), before / 2);
  const std::vector<float> measured = page.frame(
                               {{"changes", json::array()}, {"show", "measured"}}),
                           difference = page.frame(
                               {{"changes", refined.at("changes")}, {"show", "difference"}});
  for (std::size_t i = 0; i < measured.size(); ++i)
    if (std::isnan(measured[i]))  // overloaded
      EXPECT_TRUE(std::isnan(difference[i]));
    else
      EXPECT_EQ(difference[i], measured[i] - model_now[i]);
}

TEST_F(View, WhatIsNoExperimentIsASentence) {
  Served page(folder.path(), crystal);
  for (const auto& [change, sentence] : std::vector<std::pair<Changes, std::string>>{
           {{{"distance", {-1}}}, "distance"},
           {{{"nonsense", {1}}}, "no parameter 'nonsense'"},
           {{{"misset", {1}}}, "3 numbers"}}) {
    const HttpReply reply = page.post("frame", with(change, {{"number", 1}}));
    EXPECT_EQ(reply.status, 422) << reply.body;
    EXPECT_THAT(json::parse(reply.body).at("error").get<std::string>(), HasSubstr(sentence));
  }
  EXPECT_EQ(page.post("frame", {{"changes", 3}}).status, 400);
  EXPECT_EQ(page.post("pixel", {{"changes", json::array()}, {"fast", 1}, {"slow", 1}, {"panel", 7}})
                .status,
            422);
  EXPECT_EQ(page.frame(no_changes).size(), 31U * 24U);
}

// ---- When computing ends ----------------------------------------------------------------------

/// The answer to a frame, and how long it took from `act` on [s].
std::pair<HttpReply, double> interrupted_frame(Served& page, const std::function<void()>& act) {
  auto answer = std::async(std::launch::async, [&] {
    return page.post("frame", {{"changes", json::array()}, {"number", 1}});
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  const auto begin = Clock::now();
  act();
  HttpReply reply = answer.get();
  return {reply, std::chrono::duration<double>(Clock::now() - begin).count()};
}

TEST_F(View, AClosedTabStopsTheComputing) {
  Served page(folder.path(), expensive);
  const auto [reply, seconds] = interrupted_frame(page, [&] { page.close_tab(); });
  EXPECT_EQ(reply.status, 204);
  EXPECT_LT(seconds, 3);
}

TEST_F(View, ANewerImageEndsTheOneBefore) {
  Served page(folder.path(), expensive);
  const auto [reply, seconds] = interrupted_frame(page, [&] {
    page.post("frame", with({{"distance", {-1}}}, {{"number", 2}}));  // refused at once
    page.post("frame", {{"changes", json::array()}, {"number", 3}, {"every", 64}});
  });
  EXPECT_EQ(reply.status, 204);
  EXPECT_LT(seconds, 20);
}

TEST_F(View, CtrlCEndsItInTheMiddleOfAnImage) {
  Served page(folder.path(), expensive);
  auto answer = std::async(std::launch::async, [&] {
    try {
      page.post("frame", {{"changes", json::array()}, {"number", 1}});
    } catch (const std::exception&) {  // whatever it still gets
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const auto begin = Clock::now();
  const Outcome outcome = page.stop();
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.err, HasSubstr("stopped; the page is not served any more"));
  EXPECT_LT(std::chrono::duration<double>(Clock::now() - begin).count(), 3);
}

// ---- Mistakes ---------------------------------------------------------------------------------

TEST_F(View, APortThatIsTakenIsASentence) {
  const Served page(folder.path(), crystal);
  const Outcome outcome = test::run_program(
      elsewhere.path(), "view --no-browser --port " + std::to_string(page.port()) + " " + crystal);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("the port is taken"));
  EXPECT_EQ(outcome.out, "");
}

TEST_F(View, WithoutFlagsItShowsHow) {
  const Outcome outcome = run("view");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("nablabragg view -cell 100 100 100 90 90 90 -default_F 100 -N "
                                     "5, or nablabragg view experiment.json"));
  EXPECT_THAT(good_run("view --help").out, HasSubstr("--no-browser"));
}

}  // namespace
}  // namespace nablabragg
