// The hosts file as a sorted table. Room-internal; no loop in here.
#pragma once

#include "io/addr.h"

typedef struct host_line {
    char *name; // owned, lower case
    addr_t addr;
    unsigned order; // in the file
} host_line_t;

// The zero state is a valid empty table.
typedef struct hosts {
    host_line_t *lines; // owned, sorted by name, then order
    size_t n, cap;
} hosts_t;

// Adds what the text (of a hosts file) holds, 65,536 names at most; call once.
void hosts_parse(hosts_t *h, str_t text);
void hosts_load(hosts_t *h, const char *path); // an unreadable file is an empty one
void hosts_dispose(hosts_t *h);

// The lines of a name (lower case): how many, and the first (borrowed).
size_t hosts_find(const hosts_t *h, str_t name, const host_line_t **first);
