// Error codes of the world (not of ours: those are assertions). Negative, passed up unchanged, handled and
// logged once. One row is one error: name, code, text.
#pragma once

#define ERR_MAP(X)                                                                             \
    X(ERR_EOF, -2001, "connection closed by peer")                                             \
    X(ERR_RESET, -2002, "connection reset by peer")                                            \
    X(ERR_REFUSED, -2003, "connection refused")                                                \
    X(ERR_TIMEOUT, -2004, "timeout")                                                           \
    X(ERR_UNREACHABLE, -2005, "host or network unreachable")                                   \
    X(ERR_DNS_NAME, -2006, "name not found")                                                   \
    X(ERR_DNS_FAIL, -2007, "name resolution failed")                                           \
    X(ERR_TLS_HANDSHAKE, -2008, "TLS handshake failed")                                        \
    X(ERR_TLS_VERIFY, -2009, "TLS certificate verification failed")                            \
    X(ERR_NOMEM, -2010, "out of memory")                                                       \
    X(ERR_TOO_LARGE, -2011, "too large")                                                       \
    X(ERR_PROTOCOL, -2012, "protocol error")                                                   \
    X(ERR_ABORTED, -2013, "aborted")                                                           \
    X(ERR_FILES, -2014, "too many open files")                                                 \
    X(ERR_IO, -2015, "input/output error")                                                     \
    X(ERR_INVALID, -2016, "invalid argument")                                                  \
    X(ERR_ADDRESS, -2017, "address not available or in use")                                   \
    X(ERR_DENIED, -2018, "permission denied")                                                  \
    X(ERR_TLS_PLAIN, -2019, "plain HTTP on a TLS port")

typedef enum err {
    ERR_NONE = 0,
#define ERR_ENUM(name, code, text) name = (code),
    ERR_MAP(ERR_ENUM)
#undef ERR_ENUM
} err_t;

// A short English text for a code above, "unknown error" otherwise. Static storage.
const char *err_text(int code);
