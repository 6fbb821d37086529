/* The report at the end: the work of each worker, and the totals next to wc's.
 */
#ifndef DEMO_REPORT_H
#define DEMO_REPORT_H

#include "ticker.h"
#include "wc.h"
#include "workers.h"

void report_workers(const crew *c);
void report_lateness(const ticker *t);

/* Compares file by file.  Returns how many differ. */
size_t report_totals(const job *j, wc *w);

#endif
