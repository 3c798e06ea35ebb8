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

#include "ensemble/labelled_shot.hpp"
#include "ensemble/make_shots.hpp"
#include "ensemble/shard_journal.hpp"
#include "io/nxmx_shards.hpp"
#include "nablabragg/error.hpp"

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

class Run {
 public:
  Run(const Ensemble& ensemble, const RunSettings& settings)
      : ensemble_(ensemble),
        settings_(settings),
        folder_(ensemble.description().folder),
        label_(ensemble, settings.compute) {}

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
    std::vector<std::byte> packed, packed_mask;
    bool dark = false;
  };
  /// A shard that is being made.
  struct Open {
    std::unique_ptr<io::ShardWriter> writer;
    std::vector<ShotLabels> labels;
  };

  std::string path_of(const std::string& name) const { return folder_ + "/" + name; }
  /// The data set of masks; empty: there are none.
  std::string masks() const {
    return ensemble_.description().spot_mask_photons ? "shots/spot_mask" : "";
  }

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
      series.images[static_cast<std::size_t>(i)].wavelength_A = wavelength_A(ensemble_, shot);
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

  Open& shard_of(int shot) {
    const int shard = deal_->shard_of(shot);
    const std::lock_guard lock(mutex_);
    Open& open = open_[shard];
    // A thread that waits in there for others must not begin another shot, which would come here.
    if (!open.writer)
      tbb::this_task_arena::isolate([&] {
        open.writer = io::open_nxmx_shard(
            path_of(name_of_shard(shard)),
            series_of(deal_->first_of(shard), deal_->count_of(shard), true), masks());
      });
    return open;
  }

  /// On any thread: what belongs to this shot alone.
  Made made_of(const Shot& shot, Simulation& simulation) {
    Made made;
    made.dark = shot.hit && !simulation.dark.empty();
    const io::ShardWriter& writer = *shard_of(shot.index).writer;
    LabelledShot labelled = label_(shot, simulation);
    made.packed = settings_.series.counts
                      ? writer.pack(std::span<const std::int32_t>(labelled.counts))
                      : writer.pack(std::span<const float>(simulation.image.pixels));
    if (!labelled.spot_mask.empty()) made.packed_mask = writer.pack_mask(labelled.spot_mask);
    made.labels = std::move(labelled.labels);
    return made;
  }

  // ---- One shard after the other ----------------------------------------------------------------

  void take(Made made) {
    const int shot = made.labels.index, shard = deal_->shard_of(shot);
    Open& open = shard_of(shot);
    if (!made.packed_mask.empty()) open.writer->put_mask(made.packed_mask);
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
                             axis, masks());
  }

  const Ensemble& ensemble_;
  const RunSettings& settings_;
  std::string folder_;
  ShotLabeller label_;
  ShardJournal* journal_ = nullptr;
  Deal* deal_ = nullptr;
  std::mutex mutex_;  ///< guards what follows
  std::map<int, Open> open_;
  RunResult result_;  ///< of the thread that takes
};

}  // namespace

std::string name_of_shard(int shard) { return fmt::format("shard_{:05}.nxs", shard); }

RunResult run_ensemble(const Ensemble& ensemble, const RunSettings& settings) {
  return Run(ensemble, settings).run();
}

}  // namespace nablabragg::ensemble
