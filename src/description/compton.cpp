#include <xraylib.h>

#include <cmath>
#include <memory>

#include "description/digits.hpp"
#include "nablabragg/background.hpp"
#include "nablabragg/error.hpp"

namespace nablabragg {

Material compton_of(const std::string& formula, const Material& of) {
  xrl_error* error = nullptr;
  const std::unique_ptr<compoundData, decltype(&FreeCompoundData)> compound(
      CompoundParser(formula.c_str(), &error), FreeCompoundData);
  if (!compound) {
    const std::string why = error ? error->message : "it is empty";
    if (error) xrl_error_free(error);
    throw UsageError("'" + formula + "' is no chemical formula, as H2O or C6H12O6 (" + why + ")");
  }
  constexpr double rounding = 0.02;  // of molar masses as users state them
  if (std::abs(compound->molarMass - of.molar_mass) > rounding * of.molar_mass)
    throw UsageError(formula + " has " + description::digits(compound->molarMass, 6) +
                     " g/mol, and its material says " + description::digits(of.molar_mass, 6) +
                     "; the formula is of the molecule that F is of");
  Material compton = of;
  compton.name = "Compton scattering of " + formula;
  compton.process = MaterialProcess::compton;
  compton.interpolation = MaterialInterpolation::cubic;
  compton.stol_per_A.clear();
  compton.F.clear();
  // Fine enough that the cubic follows the tables to 1e-6, as far as there are X-rays
  constexpr double step = 0.005, most = 5;
  for (int row = 0; row * step <= most; ++row) {
    const double stol = row * step;
    double electrons = 0;
    for (int i = 0; row > 0 && i < compound->nElements; ++i)
      electrons += compound->nAtoms[i] * SF_Compt(compound->Elements[i], stol, &error);
    if (error) {
      const std::string why = error->message;
      xrl_error_free(error);
      throw Error("xraylib has no Compton scattering of " + formula + ": " + why);
    }
    compton.stol_per_A.push_back(stol);
    compton.F.push_back(std::sqrt(electrons));
  }
  return compton;
}

}  // namespace nablabragg
