// The process of the Admin API, as the master sees it: one more slot, which serves nothing but admin_listen, and may ask for a
// configuration to be loaded. What it answers is lualib/admin's.
// Invariant: it asks for one load at a time, and gets one answer for each.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "core/master_impl.h"

enum { BUDGET_MS = 600 * 1000 }; // reading and checking a large configuration is its work

// ---- its settings and sockets ----

static settings_t admin_settings(const settings_t *s)
{
    settings_t own = *s;
    memcpy(own.proxy_listen, s->admin_listen, sizeof own.proxy_listen);
    own.n_proxy_listen = s->n_admin_listen;
    memcpy(own.admin_listen, s->proxy_listen, sizeof own.admin_listen); // it tells them: GET /
    own.n_admin_listen = s->n_proxy_listen;
    own.n_status_listen = 0;
    own.access_log = s->admin_access_log;
    own.plugin_budget_ms = BUDGET_MS;
    if (s->admin_ssl_cert.n) {
        own.ssl_cert = s->admin_ssl_cert;
        own.ssl_cert_key = s->admin_ssl_cert_key;
    }
    return own;
}

void admin_init(master_t *m)
{
    m->asked_fd = m->posted_fd = -1;
    if (m->s->n_admin_listen == 0 || !m->s->master)
        return;
    ASSERT(m->n_workers < SLOTS_MAX, "a slot is left for the Admin API");
    m->n_slots = m->n_workers + 1;
    m->admin_settings = admin_settings(m->s);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void admin_dispose(master_t *m)
{
    close_fd(&m->asked_fd);
    close_fd(&m->posted_fd);
    document_close(&m->current_admin);
    document_close(&m->candidate_admin);
    buf_dispose(&m->posted_facts);
}

// A store that cannot be written would take writes and lose them.
static int check_store(const settings_t *s)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%.*s", STR_FMT(s->admin_store));
    if (n == 0 || (n < (int)sizeof path && access(path, W_OK | X_OK) == 0))
        return 0;
    log_write(LOG_EMERG,
              "admin_store %s cannot be written: %s (make the directory for this user)", path,
              strerror(errno));
    return -1;
}

int admin_bind(master_t *m)
{
    if (m->n_slots == m->n_workers)
        return 0;
    if (check_store(m->s) != 0)
        return -1;
    slot_t *slot = &m->slots[m->n_workers];
    for (uint32_t i = 0; i < m->s->n_admin_listen; i++) {
        if (listen_one(&m->s->admin_listen[i], "admin_listen", &slot->fds[i]) != 0)
            return -1;
    }
    return 0;
}

// ---- loads it asks for ----

// What was posted is all there is when no file and no store can replace it.
static int text_fd(const master_t *m)
{
    if (m->posting)
        return m->asked_fd;
    return m->s->n_config_paths == 0 && m->s->admin_store.n == 0 ? m->posted_fd : -1;
}

static void answer(master_t *m, uint32_t seq, control_loaded_t how, const char *text)
{
    control_message_t msg = {.order = CONTROL_LOADED, .seq = seq, .arg = how};
    int n = snprintf(msg.text, sizeof msg.text, "%s", text);
    ASSERT(n >= 0, "a text can be copied");
    msg.text_n = (uint32_t)n < sizeof msg.text ? (uint32_t)n : sizeof msg.text - 1;
    slots_send(m, m->n_workers, &msg, -1);
}

void admin_ask(master_t *m, const control_message_t *msg, int fd)
{
    ASSERT(m->n_slots > m->n_workers, "there is an Admin API that asks");
    bool busy = m->asked || m->state > MASTER_RUNNING;
    if (busy && fd >= 0)
        close(fd);
    if (busy) {
        answer(m, msg->seq, LOADED_BUSY, "another configuration is being loaded");
        return;
    }
    m->asked = true;
    m->asked_seq = msg->seq;
    m->asked_fd = fd;
}

void admin_begin(master_t *m)
{
    ASSERT(m->asked && !m->posting, "something was asked for and not begun");
    log_write(LOG_INFO, "reading the configuration that the Admin API was given");
    m->posting = true;
    master_load_begin(m, true);
    if (!m->loader)
        admin_answer(m, LOADED_REFUSED, "the loader cannot be started");
}

void admin_answer(master_t *m, control_loaded_t how, const char *text)
{
    if (!m->posting) {
        if (how == LOADED_DONE && text_fd(m) < 0)
            close_fd(&m->posted_fd); // the files' configuration took its place
        return;
    }
    m->posting = m->asked = false;
    if (how == LOADED_DONE || how == LOADED_UNCHANGED) {
        close_fd(&m->posted_fd);
        m->posted_fd = m->asked_fd;
        m->asked_fd = -1;
    }
    close_fd(&m->asked_fd);
    answer(m, m->asked_seq, how, text);
}

void admin_cancel(master_t *m)
{
    m->posting = m->asked;
    if (m->asked)
        admin_answer(m, LOADED_BUSY, "the gateway is shutting down"); // no word about the text
}

// ---- what a load reads ----

buf_t *admin_facts(master_t *m)
{
    return text_fd(m) >= 0 ? &m->posted_facts : &m->facts;
}

buf_t admin_text(const master_t *m)
{
    buf_t text = {0};
    struct stat st;
    int fd = text_fd(m);
    if (fd < 0 || fstat(fd, &st) != 0)
        return text;
    for (size_t at = 0; at < (size_t)st.st_size;) {
        size_t left = (size_t)st.st_size - at;
        ssize_t n = pread(fd, buf_reserve(&text, left), left, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        buf_commit(&text, (size_t)n);
        at += (size_t)n;
    }
    return text;
}
