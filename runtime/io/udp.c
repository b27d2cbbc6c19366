// Datagrams to and from one peer (UDP, or a unix datagram socket such as /dev/log). Sent at
// once or not at all.
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/loop_impl.h"
#include "io/sock.h"

enum { RECEIVE_BATCH = 32 };

struct udp {
    uv_poll_t poll; // not started when nobody listens
    int fd;
    void (*on_datagram)(void *arg, const char *p, size_t n);
    void (*on_error)(void *arg, int err);
    void *arg;
    bool closing;
};

static void on_udp_readable(uv_poll_t *handle, int status, int events)
{
    udp_t *u = CONTAINER_OF(handle, udp_t, poll);
    char *buf = loop_of(handle->loop)->read_buf;
    (void)status;
    (void)events;
    for (int i = 0; i < RECEIVE_BATCH && !u->closing; i++) {
        ssize_t n = recv(u->fd, buf, READ_BUF_BYTES, 0);
        if (n < 0 && errno != EAGAIN && errno != EINTR && u->on_error)
            u->on_error(u->arg, io_err(-errno)); // an ICMP answer
        if (n < 0)
            return;
        u->on_datagram(u->arg, buf, (size_t)n);
    }
}

udp_t *udp_open(loop_t *l, const addr_t *peer,
                void (*on_datagram)(void *arg, const char *p, size_t n), void *arg)
{
    int fd = socket(peer->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    if (connect(fd, &peer->sa, (socklen_t)addr_len(peer)) != 0) {
        close(fd);
        return NULL;
    }
    udp_t *u = mem_zalloc(sizeof *u);
    u->fd = fd;
    u->on_datagram = on_datagram;
    u->arg = arg;
    int rc = uv_poll_init(&l->uv, &u->poll, fd);
    ASSERT(rc == 0, "a datagram socket can be polled");
    if (on_datagram)
        uv_poll_start(&u->poll, UV_READABLE, on_udp_readable);
    live_begin(l);
    return u;
}

void udp_on_error(udp_t *u, void (*on_error)(void *arg, int err))
{
    ASSERT(u->on_datagram, "who does not read hears of errors when sending");
    u->on_error = on_error;
}

int udp_send(udp_t *u, str_t datagram)
{
    ASSERT(!u->closing, "an open socket sends");
    ssize_t n = send(u->fd, datagram.p, datagram.n, MSG_NOSIGNAL);
    if (n >= 0)
        return 0;
    switch (errno) {
    case EMSGSIZE:
        return ERR_TOO_LARGE;
    case EAGAIN:
        return ERR_NOMEM; // the send buffer is full
    default:
        return io_err(-errno);
    }
}

static void on_udp_closed(uv_handle_t *handle)
{
    live_end(loop_of(handle->loop));
    free(CONTAINER_OF(handle, udp_t, poll));
}

void udp_close(udp_t *u)
{
    ASSERT(!u->closing, "a socket is closed once");
    u->closing = true;
    uv_close((uv_handle_t *)&u->poll, on_udp_closed);
    close(u->fd);
}
