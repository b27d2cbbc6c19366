// Workers' lives: fork, watch the heartbeat, reap, respawn with back-off. Not why they live (master.c).
// Invariant: a slot has a process or a time at which it gets one, as long as the master runs.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/master_impl.h"
#include "core/stats.h"

enum {
    HANG_MIN_MS = 500,
    CRASH_LOOP_MS = 10000,
    DELAY_FIRST_MS = 100,
    DELAY_MAX_MS = 1000,
    START_MS = 60000,
    ABORT_GRACE_MS = 200
};

uint64_t master_now_ms(void)
{
    return clock_mono_us() / 1000;
}

// ---- birth ----

static void close_slot(slot_t *s)
{
    for (unsigned j = 0; j < FDS_MAX; j++) {
        if (s->fds[j] >= 0)
            close(s->fds[j]);
    }
}

static void give_signals_back(const master_t *m)
{
    static const int OWN[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
    // A signal for the whole process group (Ctrl-C) is the master's to translate.
    for (size_t i = 0; i < sizeof OWN / sizeof *OWN; i++)
        signal(OWN[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &m->inherited, NULL);
}

void master_become_child(master_t *m, int keep_slot)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != m->self)
        _exit(1); // the master died before it could be watched
    close(m->signal_fd);
    for (unsigned i = 0; i < m->n_slots; i++) {
        if ((int)i != keep_slot && m->n_fds > 0)
            close_slot(&m->slots[i]);
        if (m->slots[i].control >= 0)
            close(m->slots[i].control);
    }
    if (m->loader) {
        close(m->loader_document);
        close(m->loader_problems);
        close(m->loader_facts);
        close(m->loader_admin);
    }
    if (m->watcher)
        watcher_leave(m->watcher);
    give_signals_back(m);
}

static _Noreturn void run_child(master_t *m, unsigned i, int control)
{
    char name[32];
    bool admin = is_admin(m, i);
    const document_t *document = slot_document(m, i);
    snprintf(name, sizeof name, "moongate-w%u", i);
    master_become_child(m, (int)i);
    prctl(PR_SET_NAME, admin ? "moongate-admin" : name);
    stats_use_slot(i);
    worker_opts_t o = {
        .index = i,
        .settings = admin ? &m->admin_settings : m->s,
        .script = m->o->script,
        .listen_fds = m->slots[i].fds,
        .document = document->p,
        .document_n = document->n,
        .admin = admin,
        .control_fd = control,
        .heartbeat = &m->beats[i * BEAT_STRIDE],
    };
    exit(worker_run(&o));
}

const document_t *slot_document(const master_t *m, unsigned i)
{
    return is_admin(m, i) ? &m->current_admin : &m->current;
}

void slots_spawn(master_t *m, unsigned i)
{
    slot_t *s = &m->slots[i];
    ASSERT(s->pid == 0, "a slot holds one worker");
    if (slot_document(m, i)->fd < 0) {
        log_write(LOG_WARN, "the Admin API starts with the next valid configuration");
        return;
    }
    int pair[2] = {-1, -1};
    int rc = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    m->beats[i * BEAT_STRIDE] = master_now_ms();
    quarantine_forget_running(i);
    pid_t pid = rc == 0 ? fork() : -1;
    if (pid == 0) {
        close(pair[0]);
        run_child(m, i, pair[1]);
    }
    if (pair[1] >= 0)
        close(pair[1]);
    if (pid < 0) {
        log_write(LOG_ALERT, "worker %u cannot be started: %s; tried again in 1 s", i,
                  strerror(errno));
        if (pair[0] >= 0)
            close(pair[0]);
        s->respawn_at_ms = master_now_ms() + DELAY_MAX_MS;
        return;
    }
    s->pid = pid;
    s->control = pair[0];
    s->ready = false;
    s->awaited = 0;
    s->document_seq = m->current_seq;
    s->started_ms = master_now_ms();
    s->respawn_at_ms = s->aborted_ms = 0;
}

// ---- messages ----

void slots_send(master_t *m, unsigned i, const control_message_t *msg, int fd)
{
    slot_t *s = &m->slots[i];
    if (s->control < 0)
        return;
    int err = control_send(s->control, msg, fd);
    if (err != 0 && err != ERR_EOF)
        log_write(LOG_ERR, "worker %u (pid %d) does not take messages: %s", i, (int)s->pid,
                  err_text(err));
}

void slots_order(master_t *m, control_order_t order, uint64_t arg)
{
    control_message_t msg = {.order = order, .arg = arg};
    for (unsigned i = 0; i < m->n_slots; i++)
        slots_send(m, i, &msg, -1);
}

void slots_signal(master_t *m, int signum)
{
    for (unsigned i = 0; i < m->n_slots; i++) {
        if (m->slots[i].pid)
            kill(m->slots[i].pid, signum);
    }
}

unsigned slots_alive(const master_t *m)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_slots; i++)
        n += m->slots[i].pid != 0;
    return n;
}

bool slots_all_ready(const master_t *m)
{
    for (unsigned i = 0; i < m->n_slots; i++) {
        if (!m->slots[i].ready && slot_document(m, i)->fd >= 0)
            return false;
    }
    return true;
}

// ---- death ----

// None for a lone death; growing once a slot dies more than RECENT_DEATHS times in CRASH_LOOP_MS.
static uint64_t respawn_delay_ms(slot_t *s, uint64_t now_ms)
{
    unsigned recent = 0;
    for (unsigned i = 0; i < RECENT_DEATHS; i++)
        recent += s->deaths_ms[i] != 0 && now_ms - s->deaths_ms[i] < CRASH_LOOP_MS;
    bool looping = recent == RECENT_DEATHS;
    s->deaths_ms[s->n_deaths++ % RECENT_DEATHS] = now_ms;
    if (!looping)
        return 0;
    unsigned doublings = s->n_deaths - RECENT_DEATHS - 1;
    return doublings > 3 ? DELAY_MAX_MS : DELAY_FIRST_MS << doublings;
}

static void describe(int status, char *out, size_t cap)
{
    if (WIFSIGNALED(status))
        snprintf(out, cap, "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(out, cap, "exited with code %d", WEXITSTATUS(status));
}

// Nobody accepts at a dead worker's status sockets any more: closed, their connections go to the workers that still drain.
static void close_status_fds(const master_t *m, slot_t *s)
{
    for (unsigned i = m->s->n_proxy_listen; i < FDS_MAX; i++) {
        if (s->fds[i] >= 0)
            close(s->fds[i]);
        s->fds[i] = -1;
    }
}

// Says whose code ran when a worker came to a violent end, and switches it off when that happens too often.
static void blame(const master_t *m, unsigned i, pid_t pid, uint64_t now_ms)
{
    quarantine_verdict_t v;
    if (!quarantine_blame(i, now_ms, m->s->plugin_kills, m->s->plugin_kills_window_ms, &v))
        return;
    log_write(LOG_ERR, "worker %u (pid %d) ended in plugin \"%s\": %u within %u s", i, (int)pid,
              v.name, v.kills, m->s->plugin_kills_window_ms / 1000);
    if (v.switched_off)
        log_write(LOG_ALERT,
                  "plugin \"%s\" is switched off until the configuration is loaded again "
                  "(plugin_kills); see plugin_fail_open for what becomes of its requests",
                  v.name);
}

void slots_died(master_t *m, unsigned i, int status)
{
    slot_t *s = &m->slots[i];
    char how[96];
    describe(status, how, sizeof how);
    pid_t pid = s->pid;
    if (s->control >= 0)
        close(s->control);
    s->pid = 0;
    s->control = -1;
    s->ready = false;
    stats_slot_died(i);
    if (m->state >= MASTER_DRAINING) {
        bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        log_write(clean ? LOG_INFO : LOG_ERR, "worker %u (pid %d) %s", i, (int)pid, how);
        close_status_fds(m, s);
        return;
    }
    uint64_t now_ms = master_now_ms(), delay_ms = respawn_delay_ms(s, now_ms);
    log_write(LOG_ERR, "worker %u (pid %d) %s after %llu ms; the next one starts in %llu ms", i,
              (int)pid, how, (unsigned long long)(now_ms - s->started_ms),
              (unsigned long long)delay_ms);
    if (WIFSIGNALED(status))
        blame(m, i, pid, now_ms);
    stat_fixed_add(SF_RESPAWNS, 1);
    s->respawn_at_ms = now_ms + delay_ms;
    reload_slot_lost(m, i);
}

void slots_respawn_due(master_t *m)
{
    uint64_t now_ms = master_now_ms();
    for (unsigned i = 0; i < m->n_slots; i++) {
        slot_t *s = &m->slots[i];
        if (s->pid == 0 && s->respawn_at_ms != 0 && s->respawn_at_ms <= now_ms)
            slots_spawn(m, i);
    }
}

// ---- the heartbeat ----

static void end_hung(slot_t *s, unsigned i, uint64_t silent_ms, uint64_t now_ms)
{
    if (s->aborted_ms == 0) {
        log_write(LOG_ALERT, "worker %u (pid %d) has not moved for %llu ms; it is aborted", i,
                  (int)s->pid, (unsigned long long)silent_ms);
        s->aborted_ms = now_ms;
        kill(s->pid, SIGABRT);
    } else if (now_ms - s->aborted_ms >= ABORT_GRACE_MS) {
        kill(s->pid, SIGKILL);
    }
}

void slots_check_beats(master_t *m)
{
    uint64_t now_ms = master_now_ms(), gap_ms = now_ms - m->last_turn_ms;
    m->last_turn_ms = now_ms;
    bool paused =
        gap_ms >
        4 * MASTER_TICK_MS; // we did not run ourselves (a stopped machine): blame nobody
    uint64_t hang_ms = m->s->worker_hang_ms > HANG_MIN_MS
                           ? m->s->worker_hang_ms
                           : HANG_MIN_MS; // workers beat every 200 ms
    for (unsigned i = 0; i < m->n_slots; i++) {
        slot_t *s = &m->slots[i];
        uint64_t beat_ms = m->beats[i * BEAT_STRIDE];
        uint64_t silent_ms = now_ms > beat_ms ? now_ms - beat_ms : 0;
        if (paused && s->pid)
            m->beats[i * BEAT_STRIDE] = now_ms;
        else if (s->pid && (silent_ms > (s->ready && !is_admin(m, i) ? hang_ms : START_MS) ||
                            s->aborted_ms))
            end_hung(s, i, silent_ms, now_ms);
    }
}
