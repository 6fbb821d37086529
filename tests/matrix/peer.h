/* What the parent and the child of the matrix have in common, in C. */
#ifndef PEER_H
#define PEER_H

#include "gipc.h"

#define LARGE ((size_t)64 << 20)

/* Ends the program unless result is a success. */
void check(int result, const char *what);
void fail(const char *what) __attribute__((noreturn));

/* 10,000 messages of mixed sizes, then one with their checksum. */
void put_stream(gipc_handle *h, unsigned seed);
void get_stream(gipc_handle *h);

#endif
