#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/say.hpp"
#include "cli/stopping.hpp"
#include "cli/subcommands.hpp"
#include "description/edit_distance.hpp"
#include "mpi/together.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::cli {

namespace {

enum ExitCode { done = 0, internal_error = 1, usage_error = 2, input_error = 3, output_error = 4 };

int exit_code_of(mpi::Failure failure) {
  switch (failure) {
    case mpi::Failure::none:
      return done;
    case mpi::Failure::usage:
      return usage_error;
    case mpi::Failure::input:
      return input_error;
    case mpi::Failure::output:
      return output_error;
    case mpi::Failure::stopped:
      return stop_exit_code();
    case mpi::Failure::other:
      return internal_error;
  }
  return internal_error;
}

int dispatch(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  if (arguments.empty()) {
    print_short_help(out);
    throw UsageError(std::string("no flags were given; a first image: ") + first_image);
  }
  const std::string& word = arguments[0];
  if (word.starts_with('-')) {
    simulate_command(arguments, out, err);
    return done;
  }
  const Subcommand* const command = find_subcommand(word);
  if (!command) {
    std::vector<std::string_view> names;
    for (const Subcommand& each : subcommands()) names.push_back(each.name);
    const std::string_view near = description::nearest_word(word, names);
    throw UsageError(fmt::format(
        "'{}' is no subcommand; {}there are {}, and flags begin with - (nablabragg -help)", word,
        near.empty() ? "" : fmt::format("did you mean {}? ", near), fmt::join(names, ", ")));
  }
  if (!command->run)
    throw UsageError(
        fmt::format("this program was built without {}; ./dev build builds all of it (cmake "
                    "-DNABLA_GRADIENTS=ON -D{})",
                    word, command->left_out));
  return command->run({arguments.begin() + 1, arguments.end()}, out, err);
}

}  // namespace

int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  const auto fail = [&](int code, const std::string& sentence) {
    if (reader_is_gone()) return stop_exit_code();
    out.flush();
    say(err, "error: " + sentence);
    return code;
  };
  try {
    const int code = dispatch(arguments, out, err);
    out.flush();
    if (!out) throw OutputError("standard output could not be written");
    return code;
  } catch (const mpi::FailedElsewhere& error) {
    return exit_code_of(error.failure());
  } catch (const UsageError& error) {
    return fail(usage_error, error.what());
  } catch (const InputError& error) {
    return fail(input_error, error.what());
  } catch (const OutputError& error) {
    return fail(output_error, error.what());
  } catch (const Cancelled&) {
    return fail(stop_exit_code(), stop_sentence());
  } catch (const std::bad_alloc&) {
    return fail(internal_error,
                "out of memory; a smaller detector or structure-factor table needs less");
  } catch (const std::exception& error) {
    return fail(internal_error, error.what());
  }
}

}  // namespace nablabragg::cli
