// Reads members of an object that somebody else answers for: finds them without validating anything.
// For responses that pass byte for byte. Not for what we act on or change: json_object.
#pragma once

#include "base/str.h"

// Raw values of the members `names[0..n)` of the object that begins at text.p[0] == '{' (text may go on behind it); {NULL, 0} for
// absent ones. Of equal names the last wins. Names are compared as written, without unescaping. Nested values are skipped.
// 0, or -1 when the text ends inside the object or is no object; what was found until then is in values.
int json_skim(str_t text, const str_t *names, str_t *values, unsigned n);
