// Texts of the error codes, from the one list in err.h.
#include "base/err.h"

const char *err_text(int code)
{
    switch (code) {
#define ERR_CASE(name, value, text)                                                            \
    case value:                                                                                \
        return text;
        ERR_MAP(ERR_CASE)
#undef ERR_CASE
    case 0:
        return "no error";
    default:
        return "unknown error";
    }
}
