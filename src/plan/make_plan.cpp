#include "plan/make_plan.hpp"

namespace nablabragg {

template Plan make_plan(const Experiment&, const Resolved&);

}  // namespace nablabragg
