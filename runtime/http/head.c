// What both kinds of heads share outside of their parsing: finding the end, and the names of
// statuses. Requests are parsed in request_head.c, responses in response_head.c.
#include "http/head.h"

#include "base/check.h"
#include "http/bytes.h"

size_t head_find_end(const char *p, size_t n, size_t *scanned)
{
    ASSERT(*scanned <= n, "scanned more than there is");
    if (n < 2)
        return 0;
    const char *at = p + *scanned, *end = p + n;
    while ((at = scan_byte(at, end, '\n')) < end) {
        size_t left = (size_t)(end - at);
        if (left >= 2 && at[1] == '\n')
            return (size_t)(at - p) + 2;
        if (left >= 3 && at[1] == '\r' && at[2] == '\n')
            return (size_t)(at - p) + 3;
        if (left < 2 || (left < 3 && at[1] == '\r'))
            break; // this LF is looked at again when more has come
        at++;
    }
    *scanned = (size_t)(at - p);
    return 0;
}

size_t head_skip_crlf(const char *p, size_t n)
{
    return n >= 2 && p[0] == '\r' && p[1] == '\n' ? 2 : 0;
}

int head_overflow_status(const char *p, size_t n, const head_limits_t *limits)
{
    size_t line = (size_t)(scan_byte(p, p + n, '\n') - p);
    return limits->target_max_bytes && line > limits->target_max_bytes ? 414 : 431;
}

// RFC 9110 and the registry, as one list.
#define STATUS_MAP(X)                                                                          \
    X(100, "Continue")                                                                         \
    X(101, "Switching Protocols")                                                              \
    X(102, "Processing")                                                                       \
    X(103, "Early Hints")                                                                      \
    X(200, "OK")                                                                               \
    X(201, "Created")                                                                          \
    X(202, "Accepted")                                                                         \
    X(203, "Non-Authoritative Information")                                                    \
    X(204, "No Content")                                                                       \
    X(205, "Reset Content")                                                                    \
    X(206, "Partial Content")                                                                  \
    X(207, "Multi-Status")                                                                     \
    X(208, "Already Reported")                                                                 \
    X(226, "IM Used")                                                                          \
    X(300, "Multiple Choices")                                                                 \
    X(301, "Moved Permanently")                                                                \
    X(302, "Found")                                                                            \
    X(303, "See Other")                                                                        \
    X(304, "Not Modified")                                                                     \
    X(305, "Use Proxy")                                                                        \
    X(307, "Temporary Redirect")                                                               \
    X(308, "Permanent Redirect")                                                               \
    X(400, "Bad Request")                                                                      \
    X(401, "Unauthorized")                                                                     \
    X(402, "Payment Required")                                                                 \
    X(403, "Forbidden")                                                                        \
    X(404, "Not Found")                                                                        \
    X(405, "Method Not Allowed")                                                               \
    X(406, "Not Acceptable")                                                                   \
    X(407, "Proxy Authentication Required")                                                    \
    X(408, "Request Timeout")                                                                  \
    X(409, "Conflict")                                                                         \
    X(410, "Gone")                                                                             \
    X(411, "Length Required")                                                                  \
    X(412, "Precondition Failed")                                                              \
    X(413, "Content Too Large")                                                                \
    X(414, "URI Too Long")                                                                     \
    X(415, "Unsupported Media Type")                                                           \
    X(416, "Range Not Satisfiable")                                                            \
    X(417, "Expectation Failed")                                                               \
    X(418, "I'm a teapot")                                                                     \
    X(421, "Misdirected Request")                                                              \
    X(422, "Unprocessable Content")                                                            \
    X(423, "Locked")                                                                           \
    X(424, "Failed Dependency")                                                                \
    X(425, "Too Early")                                                                        \
    X(426, "Upgrade Required")                                                                 \
    X(428, "Precondition Required")                                                            \
    X(429, "Too Many Requests")                                                                \
    X(431, "Request Header Fields Too Large")                                                  \
    X(451, "Unavailable For Legal Reasons")                                                    \
    X(494, "Request Header Or Cookie Too Large")                                               \
    X(499, "Client Closed Request")                                                            \
    X(500, "Internal Server Error")                                                            \
    X(501, "Not Implemented")                                                                  \
    X(502, "Bad Gateway")                                                                      \
    X(503, "Service Unavailable")                                                              \
    X(504, "Gateway Timeout")                                                                  \
    X(505, "HTTP Version Not Supported")                                                       \
    X(506, "Variant Also Negotiates")                                                          \
    X(507, "Insufficient Storage")                                                             \
    X(508, "Loop Detected")                                                                    \
    X(511, "Network Authentication Required")

const char *http_reason(unsigned status)
{
    switch (status) {
#define STATUS_CASE(code, text)                                                                \
    case code:                                                                                 \
        return text;
        STATUS_MAP(STATUS_CASE)
#undef STATUS_CASE
    default:
        return "Unknown";
    }
}
