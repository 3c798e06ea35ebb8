#include "cli/commands.hpp"
#include "cli/say.hpp"
#include "cli/stopping.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::cli {

namespace {

enum ExitCode { done = 0, internal_error = 1, usage_error = 2, input_error = 3, output_error = 4 };

#if !defined(NABLA_INSTRUMENTS) || !defined(NABLA_REFINE) || !defined(NABLA_ENSEMBLE) || \
    !defined(NABLA_VIEW)
UsageError left_out(const std::string& command, const std::string& option) {
  return UsageError("this program was built without " + command +
                    "; ./dev build builds all of it (cmake -DNABLA_GRADIENTS=ON -D" + option + ")");
}
#endif

int dispatch(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  if (arguments.empty()) {
    print_short_help(out);
    throw UsageError(std::string("no flags were given; a first image: ") + first_image);
  }
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
#ifdef NABLA_INSTRUMENTS
  if (arguments[0] == "compare") return compare_command(rest, out, err);
  if (arguments[0] == "bench") return bench_command(rest, out);
#else
  if (arguments[0] == "compare" || arguments[0] == "bench")
    throw left_out(arguments[0], "NABLA_INSTRUMENTS=ON");
#endif
#ifdef NABLA_REFINE
  if (arguments[0] == "refine") return refine_command(rest, out, err);
#else
  if (arguments[0] == "refine") throw left_out(arguments[0], "NABLA_REFINE=ON");
#endif
#ifndef NABLA_ENSEMBLE
  if (arguments[0] == "ensemble")
    throw left_out(arguments[0], "NABLA_ENSEMBLE=ON, with Debian's libyaml-cpp-dev");
#endif
#ifndef NABLA_VIEW
  if (arguments[0] == "view")
    throw left_out(arguments[0], "NABLA_VIEW=ON, with Debian's libcpp-httplib-dev");
#endif
  if (arguments[0] == "fcalc")
    fcalc_command(rest, out, err);
  else if (arguments[0] == "detectors")
    detectors_command(rest, out, err);
  else if (arguments[0] == "show")
    show_command(rest, out, err);
#ifdef NABLA_ENSEMBLE
  else if (arguments[0] == "ensemble")
    ensemble_command(rest, out, err);
#endif
#ifdef NABLA_VIEW
  else if (arguments[0] == "view")
    view_command(rest, out, err);
#endif
  else if (arguments[0] == "help")
    help_command(rest, out);
  else if (arguments[0] == "docs")
    docs_command(rest, out);
  else if (arguments[0].starts_with('-'))
    simulate_command(arguments, out, err);
  else
    throw UsageError(
        "'" + arguments[0] +
        "' is no subcommand; there are show, view, fcalc, detectors, ensemble, refine, "
        "compare, bench, docs "
        "and help, and flags "
        "begin with - (nablabragg -help)");
  return done;
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
