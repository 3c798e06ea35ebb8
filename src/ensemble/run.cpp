#include "ensemble/run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>  // for join
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <chrono>
#include <cmath>  // for std::llround
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <sstream>
#include <system_error>
#include <utility>
#include <variant>

#include "engine/threads.hpp"
#include "ensemble/deal.hpp"
#include "ensemble/labelled_shot.hpp"
#include "ensemble/make_shots.hpp"
#include "ensemble/part_files.hpp"
#include "ensemble/shard_journal.hpp"
#include "io/laid_out_file.hpp"
#include "io/nxmx_shards.hpp"
#include "io/temporary_files.hpp"
#include "mpi/together.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::ensemble {

namespace {

namespace fs = std::filesystem;

constexpr const char *name_of_all = "all.nxs", *name_of_unfinished = "all.nxs.part";

/// What all ranks have done, told to the caller: numbers that they share from time to time.
class RunProgress {
 public:
  RunProgress(mpi::Ranks& ranks, const RunSettings& settings, int missing, int kept)
      : ranks_(ranks),
        settings_(settings),
        missing_(missing),
        kept_(kept),
        // Seldom enough for ten thousand of them to ask one
        interval_(ranks.size() == 1 ? 0 : 500 + ranks.size()) {}

  /// This rank has made `share` of all that were missing; false: stop.
  bool operator()(double share) {
    own_ = share * missing_;
    return tell();
  }
  bool tell() {
    const auto now = Clock::now();
    if (now - last_ >= interval_) {
      last_ = now;
      const auto more = std::llround(shares_of_a_shot * own_) - told_;
      told_ += more;
      const double before = static_cast<double>(ranks_.fetch_add(mpi::Shared::done, more) + more);
      others_ = (before - static_cast<double>(told_)) / shares_of_a_shot;
      stopped_ = ranks_.fetch_add(mpi::Shared::stop, 0) > 0;
      tell_complete();
    }
    const double share = missing_ > 0 ? (own_ + others_) / missing_ : 1;
    highest_ = std::max(highest_, std::min(1.0, share));
    const bool goes_on = !settings_.compute.progress || settings_.compute.progress(highest_);
    return goes_on && !stopped_;
  }
  void tell_complete() {
    if (ranks_.rank() == 0)
      settings_.on_complete(kept_ + static_cast<int>(ranks_.fetch_add(mpi::Shared::complete, 0)));
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double shares_of_a_shot = 1000;

  mpi::Ranks& ranks_;
  const RunSettings& settings_;
  int missing_, kept_;
  std::chrono::milliseconds interval_;
  Clock::time_point last_{};
  long long told_ = 0;
  double own_ = 0, others_ = 0, highest_ = 0;
  bool stopped_ = false;
};

/// What ranks had begun when they were ended.
std::string unfinished_sentence(const std::vector<Unfinished>& all, const Shards& files) {
  constexpr std::size_t most = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), most); ++i) {
    const auto& [rank, ranks, block] = all[i];
    text += fmt::format(
        "{}{}shots {} to {}{}", i == 0 ? "" : ", ",
        ranks > 1 ? fmt::format("rank {} ", rank) : std::string(), block.first, block.end() - 1,
        files.count() > 1 ? fmt::format(" (shard {})", files.of(block.first)) : std::string());
  }
  if (all.size() > most) text += fmt::format(" and {} more", all.size() - most);
  return "the run before was ended with unfinished work, which is begun anew: " + text;
}

class Run {
 public:
  Run(const Ensemble& ensemble, const RunSettings& settings, mpi::Ranks& ranks)
      : ensemble_(ensemble),
        settings_(settings),
        ranks_(ranks),
        one_file_(ensemble.description().one_file),
        pieces_{ensemble.shots(), ensemble.description().shots_per_shard},
        files_{ensemble.shots(), one_file_ ? ensemble.shots() : pieces_.shots_per_shard},
        run_{ensemble.description().folder, ensemble.checksum(), settings.series.provenance.date,
             shots_revision},
        label_(ensemble, settings.compute) {}

  RunResult run() {
    mpi::together(ranks_, [&] {
      if (const std::string why = ranks_.why_not_one_file(); one_file_ && !why.empty())
        throw UsageError(why);
    });
    open_folder();
    const std::vector<Block> missing = missing_blocks();
    const auto begin = std::chrono::steady_clock::now();
    if (!missing.empty()) make(missing);
    put_together();
    result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
                          .count();
    mpi::together(ranks_, [&] {
      if (!folder_journal_) return;
      folder_journal_->finish();
      result_.all = path_of(name_of_all);
      if (!one_file_) write_master();
    });
    for (const auto& [_, shard] : done_.shards) result_.shard_bytes += shard.file.part.bytes;
    return result_;
  }

 private:
  struct Made {
    PackedShot shot;
    bool dark = false;
  };

  std::string path_of(const std::string& name) const { return run_.folder + "/" + name; }
  std::string name_of_file(int number) const {
    return one_file_ ? name_of_all : name_of_shard(number);
  }
  /// Whether it becomes a file by itself.
  bool is_file(const Block& block) const { return !one_file_ && files_.is_whole(block); }
  /// The data set of masks; empty: there are none.
  std::string masks() const {
    return ensemble_.description().spot_mask_photons ? "shots/spot_mask" : "";
  }
  static void no_idle() {}

  // ---- What is there ----------------------------------------------------------------------------

  /// By rank 0; all learn what was noted.
  void open_folder() {
    mpi::together(ranks_, [&] {
      if (ranks_.rank() != 0) return;
      std::error_code error;
      fs::create_directories(run_.folder, error);
      if (!fs::is_directory(run_.folder))
        throw OutputError("cannot write " + run_.folder + ": " +
                          (error ? error.message() : "it is no folder"));
      for (const std::string& name : {name_of_shard(0), std::string(name_of_all)})
        if (!fs::exists(path_of(name_of_journal)) && fs::exists(path_of(name)))
          throw InputError(path_of(name), 0,
                           "would be written, and is there without the journal of its ensemble; "
                           "take another folder, or move it away");
      folder_journal_.emplace(run_);
      if (const int damaged = folder_journal_->damaged(); damaged > 0)
        settings_.on_unfinished(io::damaged_lines(path_of(name_of_journal), damaged, "shard"));
      if (!folder_journal_->unfinished().empty())
        settings_.on_unfinished(unfinished_sentence(folder_journal_->unfinished(), files_));
    });
    run_.date = ranks_.broadcast(folder_journal_ ? folder_journal_->date() : "", no_idle);
    done_ = done_shots(
        ranks_.broadcast(folder_journal_ ? folder_journal_->done().text() : "", no_idle));
  }

  /// Of each of `count` things whether `is_there` finds it; each rank looks at its share of them.
  std::vector<char> which_are_there(std::size_t count,
                                    const std::function<bool(std::size_t)>& is_there) {
    const auto size = static_cast<std::size_t>(ranks_.size()),
               rank = static_cast<std::size_t>(ranks_.rank());
    std::string mine(count > rank ? (count - rank - 1) / size + 1 : 0, '0');
    mpi::together(ranks_, [&] {
      engine::with_threads(settings_.compute.threads, [&] {
        tbb::parallel_for(std::size_t{0}, mine.size(), [&](std::size_t i) {
          if (is_there(rank + i * size)) mine[i] = '1';
        });
      });
    });
    std::string all(count, '0');
    const std::vector<std::string> found = ranks_.gather(mine, no_idle);
    for (std::size_t r = 0; r < found.size(); ++r)
      for (std::size_t i = 0; i < found[r].size(); ++i) all[r + i * size] = found[r][i];
    all = ranks_.broadcast(all, no_idle);
    std::vector<char> there;
    for (const char c : all) there.push_back(c == '1');
    return there;
  }

  /// Keeps of what was noted what is still so, and names the shots that are not in it.
  std::vector<Block> missing_blocks() {
    std::vector<DoneShard> shards;
    for (const auto& [_, shard] : done_.shards) shards.push_back(shard);
    const std::vector<char> good_shards = which_are_there(shards.size(), [&](std::size_t i) {
      return io::is_still(shards[i].file, path_of(shards[i].file.path));
    });
    for (std::size_t i = 0; i < shards.size(); ++i)
      if (!good_shards[i]) done_.shards.erase(shards[i].number);

    std::vector<DonePart> parts;
    for (const auto& [_, part] : std::exchange(done_.parts, {}))
      if (!done_.shards.contains(files_.of(part.block.first)) &&
          (parts.empty() || part.block.first >= parts.back().block.end()))
        parts.push_back(part);
    const std::vector<char> good_parts = which_are_there(parts.size(), [&](std::size_t i) {
      const io::DoneFile& file = parts[i].file;
      return io::sha256_of(path_of(file.path), file.part) == file.sha256;
    });
    for (std::size_t i = 0; i < parts.size(); ++i)
      if (good_parts[i]) done_.parts[parts[i].block.first] = parts[i];

    std::vector<Block> missing;
    for (int shard = 0; shard < files_.count(); ++shard) {
      if (done_.shards.contains(shard)) continue;
      const Block whole = files_.block_of(shard);
      int at = whole.first;
      const auto up_to = [&](int end) {
        while (at < end) {
          const int stop = std::min(end, pieces_.block_of(pieces_.of(at)).end());
          missing.push_back({at, stop - at});
          at = stop;
        }
      };
      for_each_part(shard, [&](const DonePart& part) {
        up_to(part.block.first);
        at = part.block.end();
      });
      up_to(whole.end());
    }
    result_.kept = ensemble_.shots();
    for (const Block& block : missing) result_.kept -= block.count;
    return missing;
  }

  template <class Visit>
  void for_each_part(int shard, Visit&& visit) const {
    const Block whole = files_.block_of(shard);
    for (auto part = done_.parts.lower_bound(whole.first);
         part != done_.parts.end() && part->first < whole.end(); ++part)
      visit(part->second);
  }

  // ---- All shots --------------------------------------------------------------------------------

  void make(const std::vector<Block>& missing) {
    const int shots = ensemble_.shots() - result_.kept;
    settings_.on_begin(shots);
    RunProgress progress(ranks_, settings_, shots, result_.kept);
    progress_ = &progress;
    blocks_ = dealt(missing, ranks_.size());
    try {
      mpi::together(
          ranks_,
          [&] {
            ensemble_.check_shots(ranks_.rank(), ranks_.size());
            packer_ = io::nxmx_packer(path_of(name_of_file(0)), settings_.series);
            journal_.emplace(run_, name_of_rank_journal(ranks_.rank()), ranks_.rank(),
                             ranks_.size());
            // A rank that cannot write its parts says so before anything is computed.
            if (!std::ranges::all_of(blocks_, [&](const Block& b) { return is_file(b); }))
              PartWriter(path_of(name_of_parts(ranks_.rank())));
            ComputeOptions options = settings_.compute;
            options.progress = std::ref(progress);
            make_shots(
                ensemble_, static_cast<std::size_t>(shots), options, [&] { return next(); },
                [&](const Shot& shot, Simulation& simulation) { return made_of(shot, simulation); },
                [&](Made made) { take(std::move(made)); });
          },
          [&] { progress.tell(); });
    } catch (...) {
      progress.tell_complete();
      throw;
    }
  }

  /// What this rank makes next.
  std::optional<int> next() {
    if (in_block_ == block_.count) {
      if (ranks_.fetch_add(mpi::Shared::stop, 0) > 0) return std::nullopt;
      const auto number = static_cast<std::size_t>(ranks_.fetch_add(mpi::Shared::next, 1));
      if (number >= blocks_.size()) return std::nullopt;
      block_ = blocks_[number];
      in_block_ = 0;
      journal_->begin(block_);
      const std::lock_guard lock(mutex_);
      begun_.push_back(block_);
    }
    return block_.first + in_block_++;
  }

  // ---- One shot ---------------------------------------------------------------------------------

  /// The series of some shots, as their file has it.
  io::ImageSeries series_of(int first, int count, bool with_spectra) const {
    io::ImageSeries series = settings_.series;
    series.provenance.date = run_.date;
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

  /// On any thread: what belongs to this shot alone.
  Made made_of(const Shot& shot, Simulation& simulation) {
    Made made;
    made.dark = shot.hit && !simulation.dark.empty();
    LabelledShot labelled = label_(shot, simulation);
    made.shot.image = settings_.series.counts
                          ? packer_->pack(std::span<const std::int32_t>(labelled.counts))
                          : packer_->pack(std::span<const float>(simulation.image.pixels));
    if (!labelled.spot_mask.empty()) made.shot.mask = packer_->pack_mask(labelled.spot_mask);
    made.shot.labels = std::move(labelled.labels);
    return made;
  }

  // ---- One block after the other ----------------------------------------------------------------

  /// A shard that gets its shots in their order.
  class OpenShard {
   public:
    OpenShard(const Run& run, int number) : run_(run), number_(number) {
      const Block block = run.files_.block_of(number);
      // A thread that waits in there for others must not begin another shot.
      tbb::this_task_arena::isolate([&] {
        writer_ = io::open_nxmx_shard(run.path_of(name_of_shard(number)),
                                      run.series_of(block.first, block.count, true), run.masks());
      });
    }
    void put(PackedShot shot) {
      if (!shot.mask.empty()) writer_->put_mask(shot.mask);
      writer_->put(std::move(shot.image));
      labels_.push_back(std::move(shot.labels));
    }
    DoneShard close() {
      const std::vector<io::ShotTable> tables = tables_of(run_.ensemble_, labels_);
      writer_->put_tables(tables);
      writer_->close();
      const std::string name = name_of_shard(number_);
      DoneShard done{number_, static_cast<int>(labels_.size()), 0,
                     io::done_file(run_.path_of(name))};
      done.file.path = name;
      for (const ShotLabels& labels : labels_)
        done.reflections += static_cast<std::int64_t>(labels.reflections.size());
      return done;
    }

   private:
    const Run& run_;
    int number_;
    std::unique_ptr<io::ShardWriter> writer_;
    std::vector<ShotLabels> labels_;
  };

  void take(Made made) {
    const int shot = made.shot.labels.index;
    result_.saturated += made.shot.labels.saturated > 0;
    result_.dark += made.dark;
    ++result_.made;
    if (!shard_ && !part_) {
      const std::lock_guard lock(mutex_);
      taken_ = begun_.front();
      begun_.pop_front();
      if (is_file(taken_))
        shard_.emplace(*this, files_.of(taken_.first));
      else
        part_.emplace(path_of(name_of_parts(ranks_.rank())));
    }
    if (shard_)
      shard_->put(std::move(made.shot));
    else
      part_->put(made.shot);
    if (shot + 1 < taken_.end()) return;

    if (shard_) {
      journal_->add(shard_->close(), taken_);
      shard_.reset();
    } else {
      DonePart done{taken_, part_->close()};
      done.file.path = name_of_parts(ranks_.rank());
      journal_->add(done);
      part_.reset();
    }
    ranks_.fetch_add(mpi::Shared::complete, taken_.count);
    progress_->tell_complete();
  }

  // ---- Shards of parts, and the file of all -----------------------------------------------------

  /// What this rank has noted goes to all.
  void share_notes() {
    const std::vector<std::string> texts = ranks_.gather(
        journal_ ? journal_->done().text() : std::string(), no_idle);
    std::string all;
    for (const std::string& text : texts) all += text;
    all = ranks_.broadcast(all, no_idle);
    const DoneShots more = done_shots(all);
    done_.shards.insert(more.shards.begin(), more.shards.end());
    done_.parts.insert(more.parts.begin(), more.parts.end());
  }

  void put_together() {
    share_notes();
    std::vector<int> missing;
    for (int file = 0; file < files_.count(); ++file)
      if (!done_.shards.contains(file)) missing.push_back(file);
    if (!missing.empty()) one_file_ ? make_one_file() : make_shards(missing);
    const std::vector<std::string> counts = ranks_.gather(
        fmt::format("{} {} {}", result_.made, result_.dark, result_.saturated), no_idle);
    if (!folder_journal_) return;
    result_.made = result_.dark = result_.saturated = 0;
    for (const std::string& text : counts) {
      std::istringstream numbers(text);
      int made = 0, dark = 0, saturated = 0;
      numbers >> made >> dark >> saturated;
      result_.made += made;
      result_.dark += dark;
      result_.saturated += saturated;
    }
    DoneShots more;
    for (const auto& [number, shard] : done_.shards) {
      const auto noted = folder_journal_->done().shards.find(number);
      if (noted == folder_journal_->done().shards.end() ||
          noted->second.file.sha256 != shard.file.sha256)
        more.shards[number] = shard;
    }
    folder_journal_->add(more);
  }

  /// Of `count` things those that this rank is the first to ask for, each by `work`.
  template <class Work>
  void take_turns(std::size_t count, Work&& work) {
    for (;;) {
      const auto number = static_cast<std::size_t>(ranks_.fetch_add(mpi::Shared::next_shard, 1));
      if (number >= count || ranks_.fetch_add(mpi::Shared::stop, 0) > 0) return;
      work(number);
    }
  }

  template <class Take>
  void read(const DonePart& part, Take&& take) const {
    read_part(part.file, path_of(part.file.path), [&](PackedShot shot) {
      if (settings_.compute.progress && !settings_.compute.progress(1)) throw Cancelled();
      take(std::move(shot));
    });
  }

  void make_shards(const std::vector<int>& shards) {
    mpi::together(ranks_, [&] {
      if (!journal_)
        journal_.emplace(run_, name_of_rank_journal(ranks_.rank()), ranks_.rank(), ranks_.size());
      take_turns(shards.size(), [&](std::size_t i) {
        OpenShard open(*this, shards[i]);
        for_each_part(shards[i], [&](const DonePart& part) {
          read(part, [&](PackedShot shot) { open.put(std::move(shot)); });
        });
        journal_->add(open.close(), files_.block_of(shards[i]));
      });
    });
    share_notes();
  }

  // ---- One file instead -------------------------------------------------------------------------

  /// Rank 0 lays it out, with room for each packed image, and all write into it what parts have.
  void make_one_file() {
    std::vector<DonePart> parts;
    for_each_part(0, [&](const DonePart& part) { parts.push_back(part); });
    const std::vector<ShotSize> sizes = sizes_of(parts);
    std::size_t reflections = 0;
    for (const ShotSize& size : sizes) reflections += size.reflections;

    io::TemporaryName unfinished;
    std::unique_ptr<io::NxmxLayout> layout;
    mpi::together(ranks_, [&] {
      if (ranks_.rank() > 0) return;
      unfinished = io::TemporaryName(path_of(name_of_unfinished));
      layout = laid_out(sizes, reflections);
    });
    const std::vector<std::size_t> first_reflections = rows_before(parts, sizes);
    std::unique_ptr<io::LaidOutFile> file;
    mpi::together(ranks_, [&] { file = ranks_.open_laid_out(path_of(name_of_unfinished)); });
    mpi::together(ranks_, [&] {
      take_turns(parts.size(), [&](std::size_t i) { fill(*file, parts[i], first_reflections[i]); });
    });
    mpi::together(ranks_, [&] { file->close(); });
    mpi::together(ranks_, [&] {
      if (!layout) return;
      layout->commit();
      DoneShard& done = done_.shards[0];
      done = {0, ensemble_.shots(), static_cast<std::int64_t>(reflections),
              io::done_file(path_of(name_of_all))};
      done.file.path = name_of_all;
    });
  }

  /// On rank 0, of all shots; each rank looks at its share of the parts.
  std::vector<ShotSize> sizes_of(const std::vector<DonePart>& parts) {
    std::string mine;
    mpi::together(ranks_, [&] {
      for (auto i = static_cast<std::size_t>(ranks_.rank()); i < parts.size();
           i += static_cast<std::size_t>(ranks_.size())) {
        int shot = parts[i].block.first;
        for (const auto& [packed, reflections] :
             sizes_of_part(parts[i].file, path_of(parts[i].file.path)))
          mine += fmt::format("{} {} {} {}\n", shot++, packed.image, packed.mask, reflections);
      }
    });
    std::vector<ShotSize> sizes(ranks_.rank() == 0 ? static_cast<std::size_t>(ensemble_.shots())
                                                   : 0);
    for (const std::string& text : ranks_.gather(mine, no_idle)) {
      std::istringstream numbers(text);
      ShotSize size;
      for (std::size_t shot = 0;
           numbers >> shot >> size.packed.image >> size.packed.mask >> size.reflections;)
        sizes.at(shot) = size;
    }
    return sizes;
  }

  /// Reflections of the shots before each part.
  std::vector<std::size_t> rows_before(const std::vector<DonePart>& parts,
                                       const std::vector<ShotSize>& sizes) {
    std::vector<std::size_t> rows;
    if (!sizes.empty()) {
      std::size_t before = 0;
      int shot = 0;
      for (const DonePart& part : parts) {
        for (; shot < part.block.first; ++shot)
          before += sizes[static_cast<std::size_t>(shot)].reflections;
        rows.push_back(before);
      }
    }
    std::istringstream numbers(ranks_.broadcast(fmt::format("{}", fmt::join(rows, " ")), no_idle));
    rows.clear();
    for (std::size_t before = 0; numbers >> before;) rows.push_back(before);
    return rows;
  }

  std::unique_ptr<io::NxmxLayout> laid_out(const std::vector<ShotSize>& sizes,
                                           std::size_t reflections) const {
    std::vector<io::PackedSizes> packed;
    for (const ShotSize& size : sizes) packed.push_back(size.packed);
    return io::lay_out_nxmx(path_of(name_of_all), path_of(name_of_unfinished),
                            series_of(0, ensemble_.shots(), true), packed, tables_of(ensemble_, {}),
                            {sizes.size(), reflections}, masks());
  }

  void fill(io::LaidOutFile& file, const DonePart& part, std::size_t first_reflection) const {
    std::vector<ShotLabels> labels;
    auto image = static_cast<std::size_t>(part.block.first);
    read(part, [&](PackedShot shot) {
      file.put_image(io::nxmx_images, image, shot.image);
      if (!shot.mask.empty()) file.put_image("/" + masks(), image, shot.mask);
      ++image;
      labels.push_back(std::move(shot.labels));
    });
    std::size_t first_row = static_cast<std::size_t>(part.block.first);
    for (const io::ShotTable& table : tables_of(ensemble_, labels)) {
      for (const io::ShotColumn& column : table.columns)
        std::visit(
            [&](const auto& values) {
              if (!values.empty())
                file.put_rows("/" + table.group + "/" + column.name, first_row,
                              std::as_bytes(std::span(values)));
            },
            column.values);
      first_row = first_reflection;
    }
  }

  // ---- The file of all shards -------------------------------------------------------------------

  /// Its parts are looked for beside it.
  void write_master() {
    std::vector<io::Shard> all;
    std::vector<io::ShotTable> tables = tables_of(ensemble_, {});
    for (int i = 0; i < files_.count(); ++i) {
      const DoneShard& done = done_.shards.at(i);
      const auto shots = static_cast<std::size_t>(done.shots);
      all.push_back({done.file.path, shots, {shots}});
      if (tables.size() > 1) all.back().rows.push_back(static_cast<std::size_t>(done.reflections));
    }
    // Thinned shots have channels of their own, which are no rows of one array.
    const auto& spectra = ensemble_.request().spectra;
    const bool one_axis = spectra && !spectra->options().channels;
    const std::vector<double> axis = one_axis ? spectra->wavelength_A() : std::vector<double>();
    io::write_nxmx_of_shards(result_.all, series_of(0, ensemble_.shots(), false), all, tables, axis,
                             masks());
  }

  const Ensemble& ensemble_;
  const RunSettings& settings_;
  mpi::Ranks& ranks_;
  bool one_file_;
  Shards pieces_;  ///< that are dealt, and complete as a whole or in parts
  Shards files_;   ///< the same, but for one file of all
  EnsembleRun run_;
  ShotLabeller label_;
  std::optional<FolderJournal> folder_journal_;  ///< on rank 0
  DoneShots done_;                               ///< of all ranks
  std::optional<JournalFile> journal_;           ///< of this rank
  std::vector<Block> blocks_;
  std::unique_ptr<io::ImagePacker> packer_;
  RunProgress* progress_ = nullptr;

  Block block_;  ///< whose shots this rank begins
  int in_block_ = 0;
  std::mutex mutex_;
  std::deque<Block> begun_;  ///< and of which none was taken; guarded

  Block taken_;  ///< whose shots are being written
  std::optional<OpenShard> shard_;
  std::optional<PartWriter> part_;
  RunResult result_;  ///< while shots are made of this rank
};

}  // namespace

std::string name_of_shard(int shard) { return fmt::format("shard_{:05}.nxs", shard); }

RunResult run_ensemble(const Ensemble& ensemble, const RunSettings& settings, mpi::Ranks& ranks) {
  return Run(ensemble, settings, ranks).run();
}

}  // namespace nablabragg::ensemble
