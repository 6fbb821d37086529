# The peers, where their headers are installed.
bench_peers = $(foreach peer,zmq uv nng,$(shell \
  echo '\#include <$(if $(filter nng,$(peer)),nng/)$(peer).h>' | \
  $(CXX) -E -x c++ - >/dev/null 2>&1 && echo -l$(peer)))
$(foreach program,$(notdir $(bench)),$(eval $(program)_LDLIBS = $$(bench_peers)))
