// Which type a YAML scalar has; private to yaml.c.
#pragma once

#include "config/yaml.h"

// Fills kind and value from the text (borrowed). `tag` is "" or one of str, int, float, bool, null ("!!" removed).
// False when the text does not fit the tag.
bool yaml_scalar_resolve(str_t text, bool plain, str_t tag, yaml_value_t *out);
