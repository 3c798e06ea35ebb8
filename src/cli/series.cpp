#include "cli/series.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <malloc.h>  // for mallopt

#include <algorithm>
#include <chrono>
#include <cstdio>  // for remove
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <utility>

#include "api/series_images.hpp"
#include "cli/files.hpp"
#include "cli/image_outputs.hpp"
#include "cli/outputs.hpp"
#include "cli/progress_bar.hpp"
#include "cli/say.hpp"
#include "cli/set_up.hpp"
#include "cli/stopping.hpp"
#include "description/doubts.hpp"
#include "flags/command_line.hpp"
#include "flags/inputs.hpp"
#include "io/named_files.hpp"
#include "io/quotes.hpp"
#include "io/series_journal.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/experiment_json.hpp"
#include "nablabragg/image_files.hpp"
#include "nablabragg/series_truth.hpp"
#include "nablabragg/units.hpp"
#include "nablabragg/version.hpp"

namespace nablabragg::cli {

namespace {

/// What -o names, by what a file holds.
struct NamedOutputs {
  std::vector<std::string> of_images;     ///< a file an image
  std::string of_all;                     ///< one file of all images; empty: none
  std::vector<std::string> descriptions;  ///< the experiment
  std::vector<std::string> truths;        ///< the true reflections

  explicit NamedOutputs(const flags::Request& request) {
    for (const std::string& name : request.output_files) {
      const io::FileFormat& format = io::format_to_write(name);
      const bool one_an_image = format.write_picture || (format.open && !format.open_series);
      if (!one_an_image && name.find('#') != std::string::npos)
        throw UsageError("-o " + name + ": " + format.name +
                         " holds all images of a series in one file; take a name without #");
      if (one_an_image) {
        of_images.push_back(name);
      } else if (format.open_series) {
        if (!of_all.empty())
          throw UsageError("-o " + of_all + " and -o " + name +
                           " would both hold all images; give one of them");
        of_all = name;
      } else {
        (format.write_experiment ? descriptions : truths).push_back(name);
      }
    }
  }
};

/// nanoBragg's default names are of one image.
void leave_unnamed_out(flags::Request& request) {
  for (flags::OutputName* file : {&request.float_file, &request.int_file, &request.pgm_file})
    file->on = file->on && file->named;
  if (request.output_files.empty()) request.noise_file.on = request.noise_file.named;
}

/// The names of an image's own files, to be changed.
std::vector<std::string*> names_of(flags::Request& request) {
  std::vector<std::string*> names;
  for (std::string& name : request.output_files) names.push_back(&name);
  for (flags::OutputName* file :
       {&request.float_file, &request.int_file, &request.pgm_file, &request.noise_file})
    if (file->on && file->named) names.push_back(&file->name);
  for (std::string* name : {&request.png_file, &request.truth_file})
    if (!name->empty()) names.push_back(name);
  return names;
}

void refuse_what_is_of_one_image(const flags::Request& request) {
  const auto refuse = [](bool given, const char* flag) {
    if (given)
      throw UsageError(
          std::string(flag) +
          " is of one image: leave -images, -orientations, -spectra and -continue out, and "
          "state that image's -phi, -misset or -spectrum");
  };
  refuse(request.trace_pixel.has_value(), "-trace_pixel");
  refuse(request.printout || request.print_plan, "-printout");
  refuse(!request.profile_file.empty(), "-profile");
}

/// "x_0001.cbf" of "x_####.cbf" and image 0.
std::string name_of_image(const std::string& name, int i) { return io::file_of_image(name, i + 1); }

/// A run of a series.
class SeriesRunner {
 public:
  SeriesRunner(flags::Request request, const std::vector<std::string>& arguments,
               std::ostream& summary, std::ostream& err, std::optional<io::SeriesRecord> record,
               std::string journal_name)
      : request_(std::move(request)),
        arguments_(arguments),
        summary_(summary),
        err_(err),
        outputs_(request_),
        series_(requested_series(request_)),
        record_(std::move(record)),
        journal_name_(std::move(journal_name)) {
    // What is said of the experiment is that of the first image.
    request_.experiment = series_.experiment(0);
    request_.missets_deg = {};
    std::erase(arguments_, "-continue");  // files are those of a run that was not interrupted
  }

  void run() {
    check_files(inputs_of(request_), all_outputs());
    const SetUp made = set_up(request_, nullptr);
    check_outputs(request_of(0));
    check_outputs(request_of(series_.images() - 1));
    check_series_file();
    say_set_up(summary_, err_, request_, made);
    if (const std::string steps = description::phi_step_notice(request_.experiment, made.resolved);
        !steps.empty())
      say(err_, steps);
    known_warnings_ = made.resolved.warnings;
    find_what_is_done();
    if (!outputs_.truths.empty()) truth_.emplace(series_);
    make();
    std::vector<std::string> unwritten;
    flags::write_cache(request_, unwritten);
    say(err_, unwritten);
    describe();
    say_what_was_made();
  }

 private:
  struct Made {
    io::DoneImage done;
    std::vector<std::byte> packed;  ///< for the file of all images
    std::string packed_sha256;      ///< empty: of other bytes than that will hold
    std::vector<std::string> notices;
    bool dark = false;
  };

  flags::Request request_of(int i) const {
    flags::Request r = request_;
    r.output_files = outputs_.of_images;
    r.compression.clear();  // of the file of all images
    r.experiment = series_.experiment(i);
    r.seed = seed_of_image(*request_.seed, i);
    for (std::string* name : names_of(r)) *name = name_of_image(*name, i);
    return r;
  }

  /// Each by its own name: those of two series may meet in some of their images.
  std::vector<io::NamedFile> all_outputs() const {
    flags::Request named = request_;
    named.output_files = outputs_.of_images;
    const std::vector<std::string*> of_images = names_of(named);
    std::vector<io::NamedFile> files;
    for (const io::NamedFile& file : outputs_of(named)) {
      if (std::ranges::none_of(of_images,
                               [&](const std::string* name) { return *name == file.path; })) {
        files.push_back(file);
        continue;
      }
      for (int i = 0; i < series_.images(); ++i)
        files.push_back({file.role, name_of_image(file.path, i)});
    }
    if (!outputs_.of_all.empty()) files.push_back({"-o", outputs_.of_all});
    for (const auto* names : {&outputs_.descriptions, &outputs_.truths})
      for (const std::string& name : *names) files.push_back({"-o", name});
    return files;
  }

  /// The series as its files have it.
  io::ImageSeries image_series() const {
    io::ImageSeries s;
    s.geometry = in_imgcif_frame(geometry_of(series_));
    const auto& scan = s.geometry.scan;
    s.spectra = series_.spectra();
    for (int i = 0; i < series_.images(); ++i)
      s.images.push_back({scan ? scan->start_deg + i * scan->width_deg : 0,
                          s.spectra ? mean_wavelength_A(s.spectra->shot(i)) : 0});
    s.counts = request_.noise_file.on;
    state_offset(s, request_);
    const io::SmvProvenance how = provenance(request_, arguments_);
    s.provenance = {how.program, how.command_line, how.seed,
                    to_json(request_.experiment, request_.stated_response()), date_};
    if (!outputs_.of_all.empty() && !io::format_to_write(outputs_.of_all).compressions.empty())
      s.compression = request_.compression;
    return s;
  }

  void check_series_file() const {
    if (!request_.compression.empty() && outputs_.of_all.empty())
      throw UsageError("-compression " + request_.compression +
                       " is for a file of -o whose format has a choice, such as -o FILE.nxs, and "
                       "there is none");
    const io::ImageSeries series = image_series();
    for (const std::string& name : request_.output_files) {
      const io::FileFormat& format = io::format_to_write(name);
      if (std::ranges::find(outputs_.of_images, name) != outputs_.of_images.end()) continue;
      if (const std::string why = format.why_not(series); !why.empty())
        throw UsageError("-o " + name + ": " + why);
      io::check_writable(name);
    }
    io::check_writable(journal_name_);
  }

  /// Of all that decides what the images are.
  std::string checksum() const {
    std::ostringstream text;
    text << version() << '\n' << to_json(request_.experiment, request_.stated_response()) << '\n';
    for (int i = 0; i < series_.images() && !series_.is_scan(); ++i) {
      const Vec3d misset = series_.experiment(i).crystal.misset_deg;
      text << fmt::format("{} {} {}\n", misset.x, misset.y, misset.z);
    }
    if (const auto& spectra = series_.spectra()) {
      text << fmt::format("{} {}\n", spectra->options().channels.value_or(0),
                          static_cast<int>(spectra->options().light));
      for (const std::span<const double> numbers :
           {std::span<const double>(spectra->wavelength_A()), spectra->weights()})
        text << io::sha256_of(std::as_bytes(numbers)) << '\n';
    }
    flags::Request named = request_;
    for (const std::string* name : names_of(named)) text << *name << '\n';
    text << fmt::format("{} {} {} {} {} {} {} {} {} {} {} {}", series_.images(), *request_.seed,
                        request_.int_scale, request_.pgm_scale, request_.adc,
                        int{request_.noise_file.on}, int{request_.png_of_noise},
                        request_.compression, static_cast<int>(request_.engine),
                        static_cast<int>(request_.precision.value_or(Precision::float32)),
                        request_.skip_below.value_or(-1), picture_text());
    if (request_.beam_jitter_mrad != 0) text << '\n' << request_.beam_jitter_mrad;
    return io::sha256_of(std::string_view(text.view()));
  }
  std::string picture_text() const {
    const PictureStyle& p = request_.picture;
    return fmt::format("{} {} {} {} {} {} {} {}", static_cast<int>(p.scale), p.bits,
                       p.white_photons, p.inverted, static_cast<int>(p.colors), p.axes,
                       fmt::join(p.rings_A, ","), p.reduced);
  }

  // ---- What an earlier run left -----------------------------------------------------------------

  std::string unfinished_name(const char* ending) const { return outputs_.of_all + ending; }

  void find_what_is_done() {
    const std::string checksum = this->checksum();
    date_ = record_ ? record_->run.date : io::date_now();
    if (record_ && record_->run.checksum != checksum)
      throw InputError(journal_name_, 0,
                       "is of another series: -continue needs the same command, experiment and "
                       "program; without it the series begins anew");
    run_ = {checksum, *request_.seed, date_, series_.images(), {}};
    if (!outputs_.of_all.empty()) {
      // The old one stays until the new one holds what is complete in it.
      const bool taken = record_ && record_->run.unfinished == unfinished_name(".part");
      run_.unfinished = unfinished_name(taken ? ".part2" : ".part");
    }
    if (!record_) return;
    if (const int damaged = record_->damaged; damaged > 0)
      say(err_, io::damaged_lines(journal_name_, damaged, "image"));
    old_part_ = record_->run.unfinished;
    if (std::error_code error; !std::filesystem::exists(old_part_, error))
      old_part_ = outputs_.of_all;
    for (io::DoneImage& image : record_->images)
      if (image.number >= 0 && image.number < series_.images() && is_complete(image))
        done_[image.number] = std::move(image);
  }

  bool is_complete(const io::DoneImage& image) const {
    flags::Request r = request_of(image.number);
    std::vector<std::string> names;
    for (const std::string* name : names_of(r)) names.push_back(*name);
    if (names.size() + (outputs_.of_all.empty() ? 0 : 1) != image.files.size()) return false;
    if (!outputs_.truths.empty() && !image.light) return false;
    for (std::size_t i = 0; i < names.size(); ++i)
      if (!io::is_still(image.files[i], names[i])) return false;
    if (outputs_.of_all.empty()) return true;
    const io::DoneFile& packed = image.files.back();
    return io::sha256_of(old_part_, packed.part) == packed.sha256;
  }

  // ---- Making -----------------------------------------------------------------------------------

  void make() {
    std::vector<int> wanted;
    for (int i = 0; i < series_.images(); ++i)
      if (!done_.contains(i)) wanted.push_back(i);
    made_before_ = done_.size();
    if (made_before_ > 0)
      say(err_, fmt::format("{} of {} images are complete{}", made_before_, series_.images(),
                            wanted.empty() ? "" : "; it goes on with the others"));
    if (wanted.empty() && (outputs_.of_all.empty() || old_part_ == outputs_.of_all)) {
      for (const auto& [number, image] : done_)
        if (truth_) truth_->add(number, *image.light);
      return;
    }
    io::SeriesJournal journal(journal_name_, run_);
    journal_ = &journal;
    if (!outputs_.of_all.empty())
      writer_ = io::format_to_write(outputs_.of_all)
                    .open_series(outputs_.of_all, image_series(), run_.unfinished);
    next_done_ = done_.begin();
    publish_when_old_is_kept();
    set_stop_sentence();

    // The memory of an image is kept for the next one, not given back and cleared anew by the
    // kernel (a seventh of the time of images that are mostly dark).
    constexpr int kept_bytes = 1 << 30;
    mallopt(M_MMAP_THRESHOLD, kept_bytes);
    mallopt(M_TRIM_THRESHOLD, kept_bytes);
    const auto begin = std::chrono::steady_clock::now();
    {
      ProgressBar bar(static_cast<double>(wanted.size()), request_.progress, "images");
      ComputeOptions options = compute_options(request_);
      options.progress = [&](double share) {
        bar.show(share);
        return !interrupted();
      };
      make_images(
          series_, wanted, options, count_seed(),
          [&](int i, MadeImage& image) { return write_image(i, image); },
          [&](int i, Made made) { take(i, std::move(made)); });
    }
    keep_done_before(series_.images());
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (interrupted()) throw Cancelled();
    if (writer_) {
      writer_->close();
      writer_.reset();
    }
    journal_ = nullptr;
  }

  /// The seeds of the counts, where nothing but counts is made of the images; else none.
  std::function<std::int64_t(int)> count_seed() const {
    const flags::Request r = request_of(0);
    const bool of_photons = !r.noise_file.on || r.responds || truth_ || !r.png_file.empty() ||
                            !r.truth_file.empty() || r.float_file.on || r.int_file.on ||
                            r.pgm_file.on || wanted(r, r.noise_file) ||
                            std::ranges::any_of(r.output_files, [](const std::string& name) {
                              return !io::format_to_write(name).open;
                            });
    if (of_photons) return {};
    return [this](int i) { return seed_of_image(*request_.seed, i); };
  }

  /// On any thread: what belongs to this image alone.
  Made write_image(int i, MadeImage& image) const {
    const flags::Request r = request_of(i);
    Simulation& simulation = image.simulation;
    if (!simulation.not_finite.empty() && !flags::keeps_nanobraggs_answer(r.experiment))
      throw UsageError(
          fmt::format("image {}: {}; it was not written", i + 1, simulation.not_finite));
    Made made;
    made.done.number = i;
    made.dark = !simulation.dark.empty();
    for (const std::string& sentence : simulation.warnings)
      if (std::ranges::find(known_warnings_, sentence) == known_warnings_.end() &&
          sentence != simulation.dark)
        made.notices.push_back(sentence);
    std::ostream nowhere(nullptr);
    // Headers have the wavelength of the image's own light.
    if (const auto& spectra = series_.spectra(); spectra && !request_.wavelength_given)
      simulation.resolved.wavelength = units::metres_from_angstrom(
          mean_wavelength_A(spectra->shot(i)));
    write_outputs(nowhere, made.notices, r, simulation.resolved, provenance(r, arguments_),
                  simulation, nullptr, image.counted ? &*image.counted : nullptr);
    flags::Request named = r;
    for (const std::string* name : names_of(named)) made.done.files.push_back(io::done_file(*name));
    if (writer_) {
      if (request_.noise_file.on)
        made.packed = writer_->pack(
            std::span<const std::int32_t>(counts_of(r, image, made.notices)));
      else
        made.packed = writer_->pack(std::span<const float>(simulation.image.pixels));
      if (writer_->stores_as_packed())
        made.packed_sha256 = io::sha256_of(std::span(std::as_const(made.packed)));
    }
    if (truth_) made.done.light = light_of(i, r, simulation.image);
    return made;
  }

  static std::vector<std::int32_t> counts_of(const flags::Request& r, MadeImage& image,
                                             std::vector<std::string>& notices) {
    CountedImage counted = image.counted ? std::move(*image.counted)
                                         : counted_image(r, image.simulation.image);
    if (const std::string sentence = saturation_notice(counted); !sentence.empty())
      notices.push_back(sentence);
    return std::move(counted.counts);
  }

  /// Of the lattice's light alone.
  std::vector<SpotLight> light_of(int i, const flags::Request& r, const Image& image) const {
    if (!has_background(r.experiment)) return truth_->light_of(i, image);
    return truth_->light_of(i,
                            simulate(without_background(r.experiment), compute_options(r)).image);
  }

  /// One image after the other.
  void take(int i, Made made) {
    keep_done_before(i);
    if (writer_) {
      const io::FilePart part = writer_->put(std::move(made.packed));
      if (made.packed_sha256.empty()) made.packed_sha256 = io::sha256_of(run_.unfinished, part);
      made.done.files.push_back({run_.unfinished, part, made.packed_sha256});
    }
    journal_->add(made.done);
    if (truth_) truth_->add(i, *made.done.light);
    ++made_now_;
    dark_ += made.dark;
    set_stop_sentence();
    for (const std::string& notice : made.notices) {
      constexpr int most_notices = 10;
      if (++notices_ <= most_notices) say(err_, fmt::format("image {}: {}", i + 1, notice));
      if (notices_ == most_notices)
        say(err_, "more notices of single images are counted, not said");
    }
  }

  /// What an earlier run made takes its place in the new files.
  void keep_done_before(int i) {
    for (; next_done_ != done_.end() && next_done_->first < i; ++next_done_) {
      io::DoneImage& image = next_done_->second;
      if (writer_) {
        io::DoneFile& file = image.files.back();
        file.part = writer_->put_stored(io::bytes_of(old_part_, file.part));
        file.path = run_.unfinished;
      }
      journal_->add(image);
      if (truth_) truth_->add(image.number, *image.light);
    }
    publish_when_old_is_kept();
  }

  /// From then on the run can be gone on with from its own files.
  void publish_when_old_is_kept() {
    if (published_ || next_done_ != done_.end()) return;
    journal_->publish();
    published_ = true;
    for (const char* ending : {".part", ".part2"})
      if (!outputs_.of_all.empty() && unfinished_name(ending) != run_.unfinished)
        std::remove(unfinished_name(ending).c_str());
  }

  void set_stop_sentence() const {
    cli::set_stop_sentence(fmt::format(
        "stopped: {} of {} images are complete; the same command with -continue goes on",
        made_before_ + static_cast<std::size_t>(made_now_), series_.images()));
  }

  // ---- What is of all images --------------------------------------------------------------------

  /// A file or template that the description points to; empty: none.
  std::string images_beside() const {
    if (!outputs_.of_all.empty()) return outputs_.of_all;
    for (const std::string& name : outputs_.of_images)
      if (io::format_to_write(name).open) return io::template_of_images(name);
    return {};
  }

  void describe() const {
    if (outputs_.descriptions.empty() && outputs_.truths.empty()) return;
    io::ImageSeries series = image_series();
    if (!series_.is_scan())
      for (int i = 0; i < series_.images(); ++i)
        series.images[static_cast<std::size_t>(i)]
            .crystals = in_imgcif_frame(nablabragg::geometry_of(series_.experiment(i))).crystals;
    for (const std::string& name : outputs_.descriptions)
      io::format_to_write(name).write_experiment(io::writable_name(name), series, images_beside());
    for (const std::string& name : outputs_.truths)
      io::format_to_write(name).write_true_spots(io::writable_name(name), truth_->spots(), series);
  }

  void say_what_was_made() const {
    if (made_now_ > 0)
      fmt::print(summary_, "made {} images in {:.3g} s, {:.3g} images/s\n", made_now_, seconds_,
                 made_now_ / seconds_);
    flags::Request named = request_;
    named.output_files = outputs_.of_images;
    for (const std::string* name : names_of(named))
      fmt::print(summary_, "written: {} to {}\n", io::printable(name_of_image(*name, 0)),
                 io::printable(name_of_image(*name, series_.images() - 1)));
    if (const std::string& name = outputs_.of_all; !name.empty())
      fmt::print(summary_, "written: {} as {} of {}\n", io::printable(name),
                 io::format_to_write(name).name, request_.noise_file.on ? "counts" : "photons");
    for (const auto* names : {&outputs_.descriptions, &outputs_.truths})
      for (const std::string& name : *names)
        fmt::print(summary_, "written: {}\n", io::printable(name));
    if (!request_.output_files.empty())
      say(err_, format_notices(request_.output_files, image_series()));
    if (dark_ > 0)
      say(err_, fmt::format("{} of the {} images made are 0 everywhere", dark_, made_now_));
  }

  flags::Request request_;
  std::vector<std::string> arguments_;
  std::ostream &summary_, &err_;
  NamedOutputs outputs_;
  Series series_;
  std::optional<io::SeriesRecord> record_;
  std::string journal_name_;
  std::vector<std::string> known_warnings_;

  std::string date_;
  io::SeriesRun run_;
  std::string old_part_;               ///< where packed images of an earlier run are
  std::map<int, io::DoneImage> done_;  ///< by an earlier run, complete
  std::map<int, io::DoneImage>::iterator next_done_;
  bool published_ = false;
  io::SeriesJournal* journal_ = nullptr;
  std::unique_ptr<io::SeriesWriter> writer_;
  std::optional<SeriesTruth> truth_;
  std::size_t made_before_ = 0;
  int made_now_ = 0, dark_ = 0, notices_ = 0;
  double seconds_ = 0;
};

std::string journal_beside(const flags::Request& request) {
  flags::Request named = request;
  const std::vector<std::string*> names = names_of(named);
  for (const std::string* name : names) {
    std::error_code error;
    if (io::is_standard_output(*name) || std::filesystem::is_other(*name, error))
      throw UsageError(io::quoted_name(*name) +
                       " is no name for the files of a series; sweep_####.cbf would be one");
  }
  if (names.empty())
    throw UsageError(
        "a series without a name for its images writes nothing; -o sweep_####.cbf or -o sweep.nxs "
        "gives one");
  return *names.front() + ".journal";
}

}  // namespace

Series requested_series(const flags::Request& request) {
  const Experiment& e = request.experiment;
  const auto in_steady_beam = [&]() -> Series {
    if (request.spectra && request.missets_deg.empty() && e.scan.oscillation_deg.empty())
      return {e, request.spectra};
    const Series series = request.missets_deg.empty() ? Series(e, *request.images)
                                                      : Series(e, request.missets_deg);
    return request.spectra ? series.in_light_of(request.spectra) : series;
  };
  const Series steady = in_steady_beam();
  return request.beam_jitter_mrad == 0 ? steady
                                       : steady.jittered(request.beam_jitter_mrad, *request.seed);
}

void simulate_series(flags::Request request, const std::vector<std::string>& arguments,
                     std::ostream& out, std::ostream& err) {
  if (!request.images && request.orientations.empty() && request.spectra_file.empty())
    throw UsageError(
        "-continue goes on with a series, and there is none of -images, -orientations and "
        "-spectra");
  refuse_what_is_of_one_image(request);
  leave_unnamed_out(request);
  const std::string journal = journal_beside(request);
  std::optional<io::SeriesRecord> record;
  if (request.goes_on) record = io::read_journal(journal);
  if (record && !request.seed) request.seed = record->run.seed;
  start_device(compute_options(request));
  flags::load_inputs(request);
  SummaryStream summary(request, out, err);
  SeriesRunner(std::move(request), arguments, summary.get(), err, std::move(record), journal).run();
}

void check_names_of_one_image(const flags::Request& request) {
  flags::Request named = request;
  for (const std::string* name : names_of(named))
    if (name->find("##") != std::string::npos)
      throw UsageError("the name " + io::quoted_name(*name) +
                       " is of a series: add -images N, or take one without ##");
}

}  // namespace nablabragg::cli
