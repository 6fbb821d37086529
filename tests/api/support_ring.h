/* Handles that use a ring, and numbers through them; in children, too. */
#pragma once

#include "support_process.h"

gipc_stats stats_of(gipc_handle *h);
uint64_t transport(gipc_handle *h, int direction);
bool in_ring(gipc_handle *r, gipc_handle *w);
/* From now on the two ends of a pipe use a ring. */
void use_ring(gipc_handle *r, gipc_handle *w);
void make_ring(gipc_handle **r, gipc_handle **w);
void put_number(gipc_handle *w, uint32_t number);
/* The next message is this number. */
void get_number(gipc_handle *r, uint32_t number);
void expect_end(gipc_handle *r);
