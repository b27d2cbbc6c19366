// The entities of the loader's document as C structs, and the links between them.
// Not checking what a user wrote (lualib/config did): a fault found here is the loader's.
#pragma once

#include "config/generation.h"

// Fills g's arrays from g->json (already in g->arena). 0, or -1 with why.
int entities_read(generation_t *g, char *why, size_t why_cap);
