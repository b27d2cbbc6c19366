// Whole small files (certificates, keys) at start. Never on the loop while serving.
#pragma once

#include "base/buf.h"

// Appends the file's bytes (at most 16 MiB). 0 or -errno.
int file_read(str_t path, buf_t *out);
