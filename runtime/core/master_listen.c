// The listening sockets: one for each address and slot, bound once and kept as long as the master lives.
// With one worker they are plain; with several each has its own queue (SO_REUSEPORT), which a respawned worker inherits.
// Invariant: all sockets of one address have the same port, also when port 0 was asked for.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/master_impl.h"
#include "io/addr.h"
#include "io/sock.h"

static const char *bind_cure(int err)
{
    if (err == ERR_ADDRESS)
        return "another process has it, or the address is not this machine's; stop that "
               "process (moongate stop) or choose another one";
    if (err == ERR_DENIED)
        return "ports below 1024 need CAP_NET_BIND_SERVICE";
    return "check the address";
}

static int complain(const listen_setting_t *l, const char *setting, int err)
{
    log_write(LOG_EMERG, "cannot listen on %.*s (%s): %s (%s)", STR_FMT(l->address), setting,
              err_text(err), bind_cure(err));
    return -1;
}

// SO_REUSEPORT would share the port with a stranger of the same user in silence: look first.
static int probe(const addr_t *a)
{
    int fd;
    int err = listen_bind(a, 1, false, &fd);
    if (err == 0)
        close(fd);
    return err;
}

static void learn_port(int fd, addr_t *a)
{
    socklen_t n = sizeof *a;
    if (a->sa.sa_family != AF_UNIX && addr_port(a) == 0 && getsockname(fd, &a->sa, &n) != 0)
        log_write(LOG_WARN, "the port of a listener is unknown: %s", strerror(errno));
}

static void announce(const listen_setting_t *l, const char *setting, const addr_t *a)
{
    char ip[64];
    size_t n = addr_ip_text(a, ip, sizeof ip);
    if (a->sa.sa_family == AF_UNIX)
        log_write(LOG_NOTICE, "listening on %.*s (%s%s)", STR_FMT(l->address), setting,
                  l->tls ? ", TLS" : "");
    else
        log_write(LOG_NOTICE, "listening on %.*s port %u (%s%s)", (int)n, ip,
                  (unsigned)addr_port(a), setting, l->tls ? ", TLS" : "");
}

static int bind_all(master_t *m, const listen_setting_t *l, const char *setting)
{
    addr_t a;
    if (addr_parse(l->address, &a) != 0)
        return complain(l, setting, ERR_INVALID);
    bool unix_path = a.sa.sa_family == AF_UNIX,
         share = (m->n_workers > 1 || l->reuseport) && !unix_path;
    int err = share && !l->reuseport && addr_port(&a) != 0 ? probe(&a) : 0;
    for (unsigned i = 0; i < m->n_workers && err == 0; i++) {
        int *fd = &m->slots[i].fds[m->n_fds];
        if (unix_path && i > 0) {
            *fd = dup(m->slots[0].fds[m->n_fds]);
            err = *fd < 0 ? ERR_FILES : 0;
            continue;
        }
        err = listen_bind(&a, l->backlog ? l->backlog : 4096, share, fd);
        if (err == 0)
            learn_port(*fd, &a);
    }
    if (err != 0)
        return complain(l, setting, err);
    m->n_fds++;
    announce(l, setting, &a);
    return 0;
}

int listen_one(const listen_setting_t *l, const char *setting, int *fd)
{
    addr_t a;
    if (addr_parse(l->address, &a) != 0)
        return complain(l, setting, ERR_INVALID);
    int err = listen_bind(&a, l->backlog ? l->backlog : 511, l->reuseport, fd);
    if (err != 0)
        return complain(l, setting, err);
    learn_port(*fd, &a);
    announce(l, setting, &a);
    return 0;
}

int master_bind(master_t *m)
{
    for (unsigned i = 0; i < m->n_slots; i++) {
        for (unsigned j = 0; j < FDS_MAX; j++)
            m->slots[i].fds[j] = -1;
    }
    for (uint32_t i = 0; i < m->s->n_proxy_listen; i++) {
        if (bind_all(m, &m->s->proxy_listen[i], "proxy_listen") != 0)
            return -1;
    }
    for (uint32_t i = 0; i < m->s->n_status_listen; i++) {
        if (bind_all(m, &m->s->status_listen[i], "status_listen") != 0)
            return -1;
    }
    ASSERT(m->n_fds <= FDS_MAX, "a slot has room for every listener");
    return admin_bind(m);
}

// How many of a slot's first sockets end with the drain.
static unsigned n_front(const master_t *m, unsigned i)
{
    unsigned n = is_admin(m, i) ? m->s->n_admin_listen : m->s->n_proxy_listen;
    while (n > 0 && m->slots[i].fds[n - 1] < 0)
        n--; // the start failed before it was bound
    return n;
}

void master_silence_listeners(master_t *m)
{
    for (unsigned i = 0; i < m->n_slots; i++)
        control_silence(m->slots[i].fds, n_front(m, i));
}

void master_shut_listeners(master_t *m)
{
    for (unsigned i = 0; i < m->n_slots; i++)
        control_shut(m->slots[i].fds, n_front(m, i));
}

void master_close_listeners(master_t *m)
{
    for (unsigned i = 0; i < m->n_slots; i++) {
        for (unsigned j = 0; j < FDS_MAX; j++) {
            if (m->slots[i].fds[j] >= 0)
                close(m->slots[i].fds[j]);
            m->slots[i].fds[j] = -1;
        }
    }
}
