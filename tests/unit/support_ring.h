#include "../api/support_ring.h"
