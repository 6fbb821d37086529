#include "../api/support_ring.c"
