#include "ensemble/run.hpp"

#include <fmt/format.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "ensemble/labels.hpp"
#include "ensemble/make_shots.hpp"
#include "ensemble/shard_journal.hpp"
#include "io/nxmx_shards.hpp"
#include "nablabragg/detector_response.hpp"
#include "nablabragg/error.hpp"
#include "nablabragg/units.hpp"
#include "physics/rotation.hpp"

namespace nablabragg::ensemble {

namespace {

namespace fs = std::filesystem;

constexpr const char* name_of_all = "all.nxs";

/// Which shots this process makes, and in which order: whole shards, each by one process.  The one
/// place that would share them among several.
class Deal {
 public:
  Deal(const Description& d, std::vector<int> shards)
      : shards_(std::move(shards)), shots_(d.shots), of_a_shard_(d.shots_per_shard) {}

  int first_of(int shard) const { return shard * of_a_shard_; }
  int count_of(int shard) const { return std::min(of_a_shard_, shots_ - first_of(shard)); }
  int shard_of(int shot) const { return shot / of_a_shard_; }
  std::size_t shots() const {
    std::size_t sum = 0;
    for (const int shard : shards_) sum += static_cast<std::size_t>(count_of(shard));
    return sum;
  }
  std::optional<int> next() {
    if (at_ == shards_.size()) return std::nullopt;
    const int shard = shards_[at_], shot = first_of(shard) + in_shard_;
    if (++in_shard_ == count_of(shard)) {
      ++at_;
      in_shard_ = 0;
    }
    return shot;
  }

 private:
  std::vector<int> shards_;
  int shots_, of_a_shard_;
  std::size_t at_ = 0;
  int in_shard_ = 0;
};

/// What turns the laboratory frame of the base experiment into imgCIF's: the images of its axes.
Mat3d axes_in_imgcif_frame(const Ensemble& ensemble) {
  Geometry geometry = geometry_of(ensemble.base());
  geometry.crystals = {{Mat3d::identity(), ""}};
  return in_imgcif_frame(geometry).crystals[0].real_axes_A;
}

class Run {
 public:
  Run(const Ensemble& ensemble, const RunSettings& settings)
      : ensemble_(ensemble),
        settings_(settings),
        folder_(ensemble.description().folder),
        frame_(axes_in_imgcif_frame(ensemble)) {}

  RunResult run() {
    const Description& d = ensemble_.description();
    std::error_code error;
    fs::create_directories(folder_, error);
    if (!fs::is_directory(folder_))
      throw OutputError("cannot write " + folder_ + ": " +
                        (error ? error.message() : "it is no folder"));
    for (const std::string& name : {name_of_shard(0), std::string(name_of_all)})
      if (!fs::exists(path_of(ShardJournal::name)) && fs::exists(path_of(name)))
        throw InputError(path_of(name), 0,
                         "would be written, and is there without the journal of its ensemble; take "
                         "another folder, or move it away");
    ShardJournal journal(folder_, ensemble_.checksum(), settings_.series.provenance.date);
    journal_ = &journal;
    const int shards = (d.shots - 1) / d.shots_per_shard + 1;
    const std::vector<int> missing = missing_shards(shards);
    Deal deal(d, missing);
    deal_ = &deal;
    result_.kept = d.shots - static_cast<int>(deal.shots());
    if (!missing.empty()) {
      ensemble_.check_all_shots();
      const auto begin = std::chrono::steady_clock::now();
      make_shots(
          ensemble_, deal.shots(), settings_.compute, [&] { return deal.next(); },
          [&](const Shot& shot, Simulation& simulation) { return made_of(shot, simulation); },
          [&](Made made) { take(std::move(made)); });
      result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
                            .count();
    }
    write_master(shards);
    for (const auto& [_, shard] : journal.shards()) result_.shard_bytes += shard.file.part.bytes;
    return result_;
  }

 private:
  struct Made {
    ShotLabels labels;
    std::vector<std::byte> packed;
    bool dark = false;
  };
  /// A shard that is being made.
  struct Open {
    std::unique_ptr<io::ShardWriter> writer;
    std::vector<ShotLabels> labels;
  };

  std::string path_of(const std::string& name) const { return folder_ + "/" + name; }

  /// Those that are not noted, or not what was noted.
  std::vector<int> missing_shards(int shards) const {
    std::vector<char> complete(static_cast<std::size_t>(shards), 0);
    tbb::parallel_for(0, shards, [&](int i) {
      const auto noted = journal_->shards().find(i);
      if (noted != journal_->shards().end() &&
          io::is_still(noted->second.file, path_of(noted->second.file.path)))
        complete[static_cast<std::size_t>(i)] = 1;
    });
    std::vector<int> missing;
    for (int i = 0; i < shards; ++i)
      if (complete[static_cast<std::size_t>(i)] == 0) missing.push_back(i);
    return missing;
  }

  // ---- One shot ---------------------------------------------------------------------------------

  /// The series of some shots, as their file has it.
  io::ImageSeries series_of(int first, int count, bool with_spectra) const {
    io::ImageSeries series = settings_.series;
    series.provenance.date = journal_->date();
    series.provenance.seed = ensemble_.description().seed;
    series.images.assign(static_cast<std::size_t>(count), {});
    const auto& spectra = ensemble_.request().spectra;
    std::vector<double> weights;
    for (int i = 0; i < count && ensemble_.wavelengths_vary(); ++i) {
      const Shot shot = ensemble_.shot(first + i);
      series.images[static_cast<std::size_t>(i)].wavelength_A = wavelength_A(shot);
      if (!spectra || !with_spectra) continue;
      const std::size_t channels = spectra->wavelength_A().size();
      const auto row = spectra->weights().subspan(shot.spectrum * channels, channels);
      weights.insert(weights.end(), row.begin(), row.end());
    }
    if (!spectra) return series;
    series.geometry.beam->spectrum_A.clear();  // that of the mean shot
    series.geometry.beam->spectrum_weights.clear();
    if (with_spectra)
      series.spectra = std::make_shared<const Spectra>(spectra->wavelength_A(), weights,
                                                       SpectrumUnit::angstrom, spectra->options());
    return series;
  }

  double wavelength_A(const Shot& shot) const {
    const auto& spectra = ensemble_.request().spectra;
    return spectra ? mean_wavelength_A(spectra->shot(static_cast<int>(shot.spectrum)))
                   : shot.experiment.beam.wavelength_A;
  }

  Open& shard_of(int shot) {
    const int shard = deal_->shard_of(shot);
    const std::lock_guard lock(mutex_);
    Open& open = open_[shard];
    // A thread that waits in there for others must not begin another shot, which would come here.
    if (!open.writer)
      tbb::this_task_arena::isolate([&] {
        open.writer = io::open_nxmx_shard(
            path_of(name_of_shard(shard)),
            series_of(deal_->first_of(shard), deal_->count_of(shard), true));
      });
    return open;
  }

  /// On any thread: what belongs to this shot alone.
  Made made_of(const Shot& shot, Simulation& simulation) {
    Made made;
    made.dark = shot.hit && !simulation.dark.empty();
    const io::ShardWriter& writer = *shard_of(shot.index).writer;
    ShotLabels& labels = made.labels;
    if (settings_.series.counts) {
      const CountedImage counted = counts_of(ensemble_, shot, simulation.image);
      labels.saturated = counted.saturated;
      made.packed = writer.pack(std::span<const std::int32_t>(counted.counts));
    } else {
      made.packed = writer.pack(std::span<const float>(simulation.image.pixels));
    }
    labels.index = shot.index;
    labels.seed = shot.seed;
    labels.hit = shot.hit;
    labels.spectrum = static_cast<std::int64_t>(shot.spectrum);
    labels.relative_light = shot.relative_light;
    labels.wavelength_A = wavelength_A(shot);
    labels.photons = simulation.statistics.sum;
    labels.brightest = simulation.statistics.max;
    labels.misset_deg = shot.experiment.crystal.misset_deg;
    labels.axes_A = axes_of(simulation.resolved);
    labels.values = shot.values;
    if (ensemble_.description().reflections && shot.hit)
      labels.reflections = reflections_of(shot, simulation.image);
    return made;
  }

  Mat3d axes_of(const Resolved& resolved) const {
    const Mat3d rows = physics::rotate_about(resolved.axes.real_A, resolved.panel.spindle,
                                             resolved.phi.front());
    const auto turned = [&](const Vec3d& v) {
      return v.x * frame_.a + v.y * frame_.b + v.z * frame_.c;
    };
    return {turned(rows.a), turned(rows.b), turned(rows.c)};
  }

  /// Of the lattice's light alone.
  std::vector<PredictedSpot> reflections_of(const Shot& shot, const Image& image) const {
    const Experiment& e = shot.experiment;
    if (!has_background(e)) return true_spots(e, image);
    const Experiment dry = without_background(e);
    ComputeOptions options = settings_.compute;
    options.progress = {};
    return true_spots(dry, simulate(dry, options).image);
  }

  // ---- One shard after the other ----------------------------------------------------------------

  void take(Made made) {
    const int shot = made.labels.index, shard = deal_->shard_of(shot);
    Open& open = shard_of(shot);
    open.writer->put(std::move(made.packed));
    result_.saturated += made.labels.saturated > 0;
    result_.dark += made.dark;
    ++result_.made;
    open.labels.push_back(std::move(made.labels));
    if (static_cast<int>(open.labels.size()) < deal_->count_of(shard)) return;

    const std::vector<io::ShotTable> tables = tables_of(ensemble_, open.labels);
    open.writer->put_tables(tables);
    open.writer->close();
    const std::string name = name_of_shard(shard);
    DoneShard done{shard, deal_->count_of(shard), 0, io::done_file(path_of(name))};
    done.file.path = name;
    for (const ShotLabels& labels : open.labels)
      done.reflections += static_cast<std::int64_t>(labels.reflections.size());
    journal_->add(done);
    {
      const std::lock_guard lock(mutex_);
      open_.erase(shard);
    }
    settings_.on_shard(result_.kept + result_.made);
  }

  /// Its parts are looked for beside it.
  void write_master(int shards) {
    std::vector<io::Shard> all;
    std::vector<io::ShotTable> tables = tables_of(ensemble_, {});
    for (int i = 0; i < shards; ++i) {
      const DoneShard& done = journal_->shards().at(i);
      const auto shots = static_cast<std::size_t>(done.shots);
      all.push_back({done.file.path, shots, {shots}});
      if (tables.size() > 1) all.back().rows.push_back(static_cast<std::size_t>(done.reflections));
    }
    // Thinned shots have channels of their own, which are no rows of one array.
    const auto& spectra = ensemble_.request().spectra;
    const bool one_axis = spectra && !spectra->options().channels;
    const std::vector<double> axis = one_axis ? spectra->wavelength_A() : std::vector<double>();
    result_.master = path_of(name_of_all);
    io::write_nxmx_of_shards(result_.master, series_of(0, ensemble_.shots(), false), all, tables,
                             axis);
  }

  const Ensemble& ensemble_;
  const RunSettings& settings_;
  std::string folder_;
  Mat3d frame_;
  ShardJournal* journal_ = nullptr;
  Deal* deal_ = nullptr;
  std::mutex mutex_;  ///< guards what follows
  std::map<int, Open> open_;
  RunResult result_;  ///< of the thread that takes
};

}  // namespace

std::string name_of_shard(int shard) { return fmt::format("shard_{:05}.nxs", shard); }

CountedImage counts_of(const Ensemble& ensemble, const Shot& shot, const Image& image) {
  const flags::Request& r = ensemble.request();
  return r.responds ? record_photons(shot.experiment, image, r.response, shot.seed)
                    : count_photons(shot.experiment, image, shot.seed);
}

RunResult run_ensemble(const Ensemble& ensemble, const RunSettings& settings) {
  return Run(ensemble, settings).run();
}

}  // namespace nablabragg::ensemble
