// The byte classes, computed by the compiler from the grammar: 256 constant expressions.
#include "http/bytes.h"

#define IS_ALNUM(c)                                                                            \
    (((c) >= '0' && (c) <= '9') || ((c) >= 'A' && (c) <= 'Z') || ((c) >= 'a' && (c) <= 'z'))
#define IS_VCHAR(c) ((c) > 0x20 && (c) < 0x7f)
#define IS_TCHAR(c)                                                                            \
    (IS_VCHAR(c) && (c) != '"' && (c) != '(' && (c) != ')' && (c) != ',' && (c) != '/' &&      \
     (c) != ':' && (c) != ';' && (c) != '<' && (c) != '=' && (c) != '>' && (c) != '?' &&       \
     (c) != '@' && (c) != '[' && (c) != '\\' && (c) != ']' && (c) != '{' && (c) != '}')
#define IS_UNRESERVED(c) (IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define IS_PATH(c)                                                                             \
    (IS_UNRESERVED(c) || (c) == '!' || (c) == '$' || ((c) >= '&' && (c) <= ',') ||             \
     (c) == '/' || (c) == ':' || (c) == ';' || (c) == '=' || (c) == '@')
#define IS_HEX(c)                                                                              \
    (((c) >= '0' && (c) <= '9') || ((c) >= 'A' && (c) <= 'F') || ((c) >= 'a' && (c) <= 'f'))

#define CLASS(c)                                                                               \
    ((IS_TCHAR(c) ? B_TOKEN : 0) | (IS_TCHAR(c) && (c) != '_' ? B_NAME : 0) |                  \
     (IS_VCHAR(c) || (c) == ' ' || (c) == '\t' || (c) >= 0x80 ? B_VALUE : 0) |                 \
     (IS_VCHAR(c) && (c) != '#' ? B_TARGET : 0) |                                              \
     (IS_UNRESERVED(c) ? B_HOST | B_UNRESERVED : 0) | (IS_PATH(c) ? B_PATH : 0) |              \
     (IS_HEX(c) ? B_HEX : 0))
#define CLASS_4(c) CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS_16(c) CLASS_4(c), CLASS_4((c) + 4), CLASS_4((c) + 8), CLASS_4((c) + 12)
#define CLASS_64(c) CLASS_16(c), CLASS_16((c) + 16), CLASS_16((c) + 32), CLASS_16((c) + 48)

const uint8_t byte_class[256] = {CLASS_64(0), CLASS_64(64), CLASS_64(128), CLASS_64(192)};
