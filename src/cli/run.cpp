#include "cli/commands.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg::cli {

namespace {

enum ExitCode {
  done = 0,
  internal_error = 1,
  usage_error = 2,
  input_error = 3,
  output_error = 4,
  interrupt = 130
};

#if !defined(NABLA_INSTRUMENTS) || !defined(NABLA_REFINE)
UsageError left_out(const std::string& command, const std::string& option) {
  return UsageError("this program was built without " + command +
                    "; ./dev build builds all of it (" + "cmake -D" + option + "=ON)");
}
#endif

int dispatch(const std::vector<std::string>& words, std::ostream& out, std::ostream& err) {
  if (words.empty()) {
    print_help(out);
    throw UsageError(
        "no flags were given; a first image: nablabragg -cell 100 100 100 90 90 90 -default_F 100 "
        "-N 5 -pngfile image.png");
  }
  const std::vector<std::string> rest(words.begin() + 1, words.end());
#ifdef NABLA_INSTRUMENTS
  if (words[0] == "compare") return compare_command(rest, out, err);
  if (words[0] == "bench") return bench_command(rest, out);
#else
  if (words[0] == "compare" || words[0] == "bench") throw left_out(words[0], "NABLA_INSTRUMENTS");
#endif
#ifdef NABLA_REFINE
  if (words[0] == "refine") return refine_command(rest, out, err);
#else
  if (words[0] == "refine") throw left_out(words[0], "NABLA_REFINE");
#endif
  if (words[0] == "fcalc")
    fcalc_command(rest, out);
  else if (words[0] == "docs")
    docs_command(rest, out);
  else if (words[0].starts_with('-'))
    simulate_command(words, out, err);
  else
    throw UsageError(
        "'" + words[0] +
        "' is no subcommand; there are fcalc, refine, compare, bench and docs, and flags "
        "begin with - (nablabragg -help)");
  return done;
}

}  // namespace

int run(const std::vector<std::string>& words, std::ostream& out, std::ostream& err) {
  const auto fail = [&](ExitCode code, const std::exception& error) {
    out.flush();
    err << "nablabragg: error: " << error.what() << '\n';
    return code;
  };
  try {
    const int code = dispatch(words, out, err);
    out.flush();
    if (!out) throw OutputError("standard output could not be written");
    return code;
  } catch (const UsageError& error) {
    return fail(usage_error, error);
  } catch (const InputError& error) {
    return fail(input_error, error);
  } catch (const OutputError& error) {
    return fail(output_error, error);
  } catch (const Cancelled& error) {
    return fail(interrupt, error);
  } catch (const std::bad_alloc&) {
    return fail(internal_error,
                Error("out of memory; a smaller detector or structure-factor table needs less"));
  } catch (const std::exception& error) {
    return fail(internal_error, error);
  }
}

}  // namespace nablabragg::cli
