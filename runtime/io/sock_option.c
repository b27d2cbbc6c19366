// The few options of the kernel's sockets that applications ask for. What every socket gets is set where it is made.
#include "io/sock.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/err.h"

static const struct {
    int level, name;
} OPTIONS[] = {
    [SOCK_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE},
    [SOCK_REUSEADDR] = {SOL_SOCKET, SO_REUSEADDR},
    [SOCK_NODELAY] = {IPPROTO_TCP, TCP_NODELAY},
    [SOCK_SNDBUF] = {SOL_SOCKET, SO_SNDBUF},
    [SOCK_RCVBUF] = {SOL_SOCKET, SO_RCVBUF},
    [SOCK_KEEPINTVL] = {IPPROTO_TCP, TCP_KEEPINTVL},
    [SOCK_KEEPCNT] = {IPPROTO_TCP, TCP_KEEPCNT},
};

int sock_option_get(const sock_t *s, sock_option_t option, int *value)
{
    ASSERT((size_t)option < sizeof OPTIONS / sizeof *OPTIONS, "an option of the list");
    int got = 0;
    socklen_t n = sizeof got;
    if (getsockopt(sock_fd(s), OPTIONS[option].level, OPTIONS[option].name, &got, &n) != 0)
        return ERR_INVALID;
    *value = got;
    return 0;
}

int sock_option_set(sock_t *s, sock_option_t option, int value)
{
    ASSERT((size_t)option < sizeof OPTIONS / sizeof *OPTIONS, "an option of the list");
    int rc = setsockopt(sock_fd(s), OPTIONS[option].level, OPTIONS[option].name, &value,
                        sizeof value);
    return rc == 0 ? 0 : ERR_INVALID;
}
