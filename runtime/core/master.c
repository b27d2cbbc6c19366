// The master's one loop: signals, messages, children, deadlines. What each of them means for workers is in master_slots.c, for
// configurations in master_load.c and master_reload.c, for sockets in master_listen.c.
// Invariant: nothing here waits but poll(2).
#include "core/master.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/notify.h"
#include "config/settings.h"
#include "core/master_impl.h"
#include "config/generation.h"
#include "core/config_state.h"
#include "core/dicts.h"
#include "core/health.h"
#include "core/last_good.h"
#include "core/node.h"
#include "core/shdict.h"
#include "core/stats.h"

enum { STOP_GRACE_MS = 1000, DRAIN_GRACE_MS = 3000, SERIES_MAX = 20000 };

// With so many old generations under way in a worker, files are not looked at: each holds a configuration.
enum { GENERATIONS_MAX = 16 };

// ---- shared memory ----

static int create_shared(master_t *m)
{
    size_t bytes = sizeof(uint64_t) * SLOTS_MAX * BEAT_STRIDE;
    void *beats = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (beats == MAP_FAILED || stats_create(SERIES_MAX) != 0 || config_state_create() != 0 ||
        health_create() != 0 || quarantine_create() != 0 || dicts_create(m->s) != 0) {
        log_write(
            LOG_EMERG,
            "shared memory cannot be had: %s (see the memory limit and shared_dict_bytes)",
            strerror(errno));
        return -1;
    }
    m->beats = beats;
    stats_use_slot(STATS_SLOT_MASTER);
    return 0;
}

// ---- the end ----

static void begin_drain(master_t *m, uint64_t delay_ms)
{
    uint64_t now_ms = master_now_ms();
    log_write(LOG_NOTICE,
              "draining: listeners close in %llu ms, at most %u ms for what is under way",
              (unsigned long long)delay_ms, m->s->drain_timeout_ms);
    m->state = MASTER_DRAINING;
    m->silence_at_ms = now_ms + delay_ms;
    m->shut_at_ms = m->silence_at_ms + 2 * DRAIN_ACCEPT_MS;
    m->deadline_ms = now_ms + delay_ms + m->s->drain_timeout_ms + DRAIN_GRACE_MS;
    master_load_cancel(m);
    slots_order(m, CONTROL_DRAIN, delay_ms + DRAIN_ACCEPT_MS);
    notify_stopping("draining: at most %u s for what is under way",
                    m->s->drain_timeout_ms / 1000);
}

static void stop_now(master_t *m)
{
    if (m->state == MASTER_STOPPING)
        return;
    log_write(LOG_NOTICE, "stopping at once");
    m->state = MASTER_STOPPING;
    m->deadline_ms = master_now_ms() + STOP_GRACE_MS;
    master_load_cancel(m);
    slots_order(m, CONTROL_STOP, 0);
    notify_stopping("stopping at once");
}

static void terminate(master_t *m, uint64_t delay_ms)
{
    if (m->state == MASTER_RUNNING)
        begin_drain(m, delay_ms);
    else
        stop_now(m);
}

static void check_deadlines(master_t *m)
{
    uint64_t now_ms = master_now_ms();
    if (m->silence_at_ms && now_ms >= m->silence_at_ms) {
        m->silence_at_ms = 0;
        master_silence_listeners(m);
    }
    if (m->shut_at_ms && now_ms >= m->shut_at_ms) {
        m->shut_at_ms = 0;
        master_shut_listeners(m);
    }
    if (m->deadline_ms && now_ms >= m->deadline_ms) {
        if (slots_alive(m) > 0)
            log_write(LOG_ERR, "%u workers did not end in time; they are killed",
                      slots_alive(m));
        slots_signal(m, SIGKILL);
        m->deadline_ms = now_ms + STOP_GRACE_MS;
    }
    if (m->loader && now_ms >= m->loader_deadline_ms) {
        log_write(LOG_ERR, "reading the configuration takes too long; given up");
        m->loader_deadline_ms = now_ms + STOP_GRACE_MS;
        kill(m->loader, SIGKILL);
    }
}

// ---- start and reload ----

static void fail_start(master_t *m, const char *why)
{
    log_write(LOG_EMERG, "not started: %s", why);
    m->exit_code = 1;
    stop_now(m);
}

static void start_workers(master_t *m)
{
    m->current = m->candidate;
    m->current_admin = m->candidate_admin;
    m->candidate = m->candidate_admin = (document_t){.fd = -1};
    m->current_seq = m->seq = 1;
    if (master_bind(m) != 0) {
        fail_start(m, "a listener cannot be opened");
        return;
    }
    for (unsigned i = 0; i < m->n_slots; i++)
        slots_spawn(m, i);
}

static void ask_for_reload(master_t *m)
{
    if (m->state != MASTER_RUNNING || m->loader || m->phase != RELOAD_NONE) {
        m->load_again = m->state <= MASTER_RUNNING;
        return;
    }
    log_write(LOG_INFO, "reading the configuration again");
    notify_reloading();
    master_load_begin(m, true);
}

static bool crowded(master_t *m)
{
    bool before = m->crowded;
    m->crowded = config_state_most_alive() > GENERATIONS_MAX;
    if (m->crowded && !before)
        log_write(LOG_WARN,
                  "requests hold %u configurations: changes of the files wait until some of "
                  "them have ended",
                  config_state_most_alive());
    return m->crowded;
}

static bool may_look(master_t *m)
{
    return m->state == MASTER_RUNNING && !m->loader && m->phase == RELOAD_NONE && !crowded(m);
}

// Whether anything has changed is the loader's to say.
static void look_for_changes(master_t *m)
{
    if (!may_look(m) || !watcher_due(m->watcher, master_now_ms()))
        return;
    log_write(LOG_INFO, "the configuration may have changed; reading it");
    master_load_begin(m, false);
}

static bool same_as_current(const master_t *m)
{
    return document_same(&m->current, &m->candidate) &&
           document_same(&m->current_admin, &m->candidate_admin);
}

// Nothing to do; after an invalid one the files may be back at what is in use.
static void unchanged(master_t *m, bool healthy)
{
    stat_fixed_add(SF_RELOADS_UNCHANGED, 1);
    log_write(LOG_INFO, "the configuration has not changed");
    document_close(&m->candidate);
    document_close(&m->candidate_admin);
    admin_answer(m, LOADED_UNCHANGED, "the configuration has not changed");
    if (!healthy)
        return;
    config_state_t *s = config_state_begin();
    s->attempt_ok = true;
    s->attempt_ms = clock_wall_us() / 1000;
    s->error[0] = '\0';
    config_state_end();
}

static void start_with_last_good(master_t *m)
{
    int rc = m->s->last_good ? master_take_last_good(m) : -ENOENT;
    if (rc != 0) {
        if (m->s->last_good)
            log_write(LOG_ERR, "last_good: there is none to start with: %s", strerror(-rc));
        fail_start(m, "the configuration is invalid");
        return;
    }
    log_write(LOG_ERR, "%s", LAST_GOOD_USED);
    m->from_last_good = true;
    start_workers(m);
}

static void loaded(master_t *m, int status)
{
    load_outcome_t outcome = master_load_end(m, status);
    bool good = outcome == LOAD_DONE;
    if (m->state == MASTER_STARTING) {
        good ? start_workers(m) : start_with_last_good(m);
    } else if (m->state == MASTER_RUNNING && outcome == LOAD_CHANGING) {
        m->posting = false; // what was asked for stays so
        watcher_again(m->watcher, master_now_ms());
    } else if (m->state == MASTER_RUNNING && outcome == LOAD_UNCHANGED) {
        unchanged(m, false);
    } else if (m->state == MASTER_RUNNING && good && (!m->load_forced || m->posting) &&
               same_as_current(m)) {
        unchanged(m, true);
    } else if (m->state == MASTER_RUNNING && good) {
        reload_start(m);
    } else if (m->state == MASTER_RUNNING) {
        stat_fixed_add(SF_RELOADS_FAILED, 1);
        log_write(LOG_ERR, "reload refused, the running configuration stays in use");
        notify_ready("reload refused; the running configuration stays in use");
        admin_answer(m, LOADED_REFUSED, "the loader failed; its log says why");
    }
}

static void began_serving(master_t *m)
{
    if (!m->from_last_good) {
        master_tell_loaded(m);
        return;
    }
    config_state_t old; // the error of the files stays told
    config_state_get(&old);
    master_tell_loaded(m);
    config_state_failed(str_from(old.error), str_from(old.attempt_content));
    config_state_t *s = config_state_begin();
    s->last_good = true;
    config_state_end();
}

static void worker_ready(master_t *m, unsigned i)
{
    m->slots[i].ready = true;
    reload_slot_ready(m, i);
    if (m->state != MASTER_STARTING || !slots_all_ready(m))
        return;
    m->state = MASTER_RUNNING;
    began_serving(m);
    log_write(LOG_NOTICE, "serving: %u workers, %s", m->n_workers, m->summary);
    notify_ready("serving: %u workers, %s", m->n_workers, m->summary);
}

// ---- events ----

static void set_level(master_t *m, uint64_t level)
{
    if (level > LOG_DEBUG)
        return;
    log_write(LOG_NOTICE, "the log level is %s now", log_level_name((log_level_t)level));
    log_set_level((log_level_t)level);
    slots_order(m, CONTROL_LEVEL, level);
}

// Only the Admin API's process may ask for more than it was asked for.
static void on_admin_message(master_t *m, unsigned i, const control_message_t *msg, int fd)
{
    if (is_admin(m, i) && msg->order == CONTROL_LOAD)
        admin_ask(m, msg, fd);
    else if (fd >= 0)
        close(fd);
    if (is_admin(m, i) && msg->order == CONTROL_LEVEL)
        set_level(m, msg->arg);
    if (!is_admin(m, i))
        log_write(LOG_ERR, "worker %u sent the Admin API's message (%u)", i, msg->order);
}

static void on_message(master_t *m, unsigned i, const control_message_t *msg)
{
    bool tells = msg->order == CONTROL_READY || msg->order == CONTROL_INSTALLED;
    if (tells && !is_admin(m, i))
        memcpy(m->summary, msg->text, sizeof m->summary);
    switch ((control_order_t)msg->order) {
    case CONTROL_READY:
        worker_ready(m, i);
        break;
    case CONTROL_INSTALLED:
    case CONTROL_REFUSED:
        reload_answered(m, i, msg);
        break;
    case CONTROL_RELOAD:
    case CONTROL_DRAIN:
    case CONTROL_STOP:
    case CONTROL_REOPEN:
    case CONTROL_LOADED:
        log_write(LOG_ERR, "worker %u sent a master's message (%u)", i, msg->order);
        break;
    case CONTROL_LOAD:
    case CONTROL_LEVEL:
        UNREACHABLE("on_admin_message has these");
    }
}

static void read_messages(master_t *m, unsigned i)
{
    control_message_t msg;
    int passed = -1, rc;
    while ((rc = control_receive(m->slots[i].control, &msg, &passed)) == 0) {
        if (msg.order == CONTROL_LOAD || msg.order == CONTROL_LEVEL) {
            on_admin_message(m, i, &msg, passed);
            continue;
        }
        if (passed >= 0)
            close(passed);
        msg.text[msg.text_n < CONTROL_TEXT_MAX ? msg.text_n : CONTROL_TEXT_MAX - 1] = '\0';
        on_message(m, i, &msg);
    }
    if (rc == 1)
        return;
    close(m->slots[i].control); // its end is known by waitpid
    m->slots[i].control = -1;
}

static void child_ended(master_t *m, pid_t pid, int status)
{
    if (pid == m->loader) {
        loaded(m, status);
        return;
    }
    for (unsigned i = 0; i < m->n_slots; i++) {
        if (m->slots[i].pid != pid)
            continue;
        bool starting = m->state == MASTER_STARTING;
        slots_died(m, i, status);
        if (starting)
            fail_start(m, "a worker could not start");
        return;
    }
}

// As PID 1 we also inherit strangers.
static void reap(master_t *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        child_ended(m, pid, status);
}

static void on_signal(master_t *m, int signum, int value)
{
    switch (signum) {
    case SIGHUP:
        ask_for_reload(m);
        break;
    case SIGTERM:
        terminate(m, m->s->drain_delay_ms);
        break;
    case SIGQUIT:
        terminate(m, 0);
        break;
    case SIGINT:
        stop_now(m);
        break;
    case SIGUSR1:
        control_reopen_error_log(m->s);
        slots_order(m, CONTROL_REOPEN, 0);
        break;
    case SIGUSR2:
        control_set_drained(value == 0);
        break;
    case SIGCHLD:
        break; // reap follows every turn
    }
}

static void read_signals(master_t *m)
{
    struct signalfd_siginfo info;
    while (read(m->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        on_signal(m, (int)info.ssi_signo, info.ssi_code == SI_QUEUE ? info.ssi_int : 0);
}

// ---- the loop ----

static int next_wait_ms(master_t *m)
{
    uint64_t now_ms = master_now_ms(), due_ms = now_ms + MASTER_TICK_MS;
    const uint64_t moments[] = {m->silence_at_ms, m->shut_at_ms, m->deadline_ms};
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
        due_ms = moments[i] && moments[i] < due_ms ? moments[i] : due_ms;
    uint64_t look_ms = watcher_next_ms(m->watcher);
    if (look_ms && look_ms < due_ms && may_look(m))
        due_ms = look_ms;
    for (unsigned i = 0; i < m->n_slots; i++) {
        const slot_t *s = &m->slots[i];
        if (!s->pid && s->respawn_at_ms && s->respawn_at_ms < due_ms)
            due_ms = s->respawn_at_ms;
    }
    return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

static void turn(master_t *m)
{
    struct pollfd fds[SLOTS_MAX + 2] = {{.fd = m->signal_fd, .events = POLLIN}};
    fds[m->n_slots + 1] =
        (struct pollfd){.fd = may_look(m) ? watcher_fd(m->watcher) : -1, .events = POLLIN};
    for (unsigned i = 0; i < m->n_slots; i++)
        fds[i + 1] = (struct pollfd){.fd = m->slots[i].control, .events = POLLIN};
    int n = poll(fds, m->n_slots + 2, next_wait_ms(m));
    ASSERT(n >= 0 || errno == EINTR, "poll on our own descriptors works");
    for (unsigned i = 0; i < m->n_slots && n > 0; i++) {
        if (fds[i + 1].revents && m->slots[i].control == fds[i + 1].fd)
            read_messages(m, i);
    }
    read_signals(m);
    reap(m);
    check_deadlines(m);
    notify_alive(master_now_ms());
    if (m->state <= MASTER_RUNNING) {
        slots_check_beats(m);
        slots_respawn_due(m);
        master_tell_workers(m);
    }
    if (m->load_again && m->state == MASTER_RUNNING && !m->loader && m->phase == RELOAD_NONE) {
        m->load_again = false;
        ask_for_reload(m);
    }
    if (m->asked && !m->posting && m->state == MASTER_RUNNING && !m->loader &&
        m->phase == RELOAD_NONE)
        admin_begin(m);
    look_for_changes(m);
}

static int take_signals(master_t *m)
{
    sigset_t set;
    sigemptyset(&set);
    static const int OURS[] = {SIGHUP, SIGTERM, SIGQUIT, SIGINT, SIGUSR1, SIGUSR2, SIGCHLD};
    for (size_t i = 0; i < sizeof OURS / sizeof *OURS; i++)
        sigaddset(&set, OURS[i]);
    sigprocmask(SIG_BLOCK, &set, &m->inherited);
    m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (m->signal_fd >= 0)
        return 0;
    log_write(LOG_EMERG, "signals cannot be received: %s", strerror(errno));
    return -1;
}

static int serve(master_t *m)
{
    m->last_turn_ms = master_now_ms();
    m->watcher = watcher_create(m->s);
    master_load_begin(m, true);
    if (!m->loader)
        return 1;
    while (m->state <= MASTER_RUNNING || slots_alive(m) > 0 || m->loader)
        turn(m);
    log_write(LOG_NOTICE, "stopped");
    return m->exit_code;
}

// ---- life ----

static int open_prefix(const settings_t *s)
{
    int holder = 0, rc = pidfile_open(s->prefix, &holder);
    if (rc == 0)
        return 0;
    if (rc == 1)
        log_write(LOG_EMERG,
                  "not started: process %d already runs with prefix %.*s (moongate stop ends "
                  "it; --prefix DIR allows a second one)",
                  holder, STR_FMT(s->prefix));
    else
        log_write(LOG_EMERG,
                  "not started: %.*s/moongate.pid cannot be written: %s (set --prefix to a "
                  "directory of yours)",
                  STR_FMT(s->prefix), strerror(-rc));
    return -1;
}

static master_t *create(const master_opts_t *o)
{
    master_t *m = mem_zalloc(sizeof *m);
    m->o = o;
    m->s = o->settings;
    m->self = getpid();
    m->signal_fd = -1;
    m->current.fd = m->candidate.fd = m->current_admin.fd = m->candidate_admin.fd = -1;
    m->loader_document = m->loader_problems = m->loader_facts = m->loader_admin = -1;
    m->n_workers = settings_workers(o->settings);
    m->n_workers = m->n_workers > WORKERS_MAX ? WORKERS_MAX : m->n_workers;
    m->n_slots = m->n_workers;
    admin_init(m);
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        m->slots[i].control = -1;
        for (unsigned j = 0; j < FDS_MAX; j++)
            m->slots[i].fds[j] = -1;
    }
    return m;
}

static void destroy(master_t *m)
{
    master_close_listeners(m);
    document_close(&m->current);
    document_close(&m->candidate);
    admin_dispose(m);
    watcher_destroy(m->watcher);
    buf_dispose(&m->facts);
    config_state_destroy();
    health_destroy();
    if (m->signal_fd >= 0)
        close(m->signal_fd);
    for (unsigned i = 0; i < SHDICTS_MAX; i++)
        shdict_destroy(shdict_at(i));
    stats_destroy();
    free(m);
}

int master_run(const master_opts_t *o)
{
    node_harden();
    if (open_prefix(o->settings) != 0)
        return 1;
    node_init(o->settings->prefix);
    master_t *m = create(o);
    int code = 1;
    if (create_shared(m) == 0) {
        if (!o->settings->master)
            code = master_serve_alone(m);
        else if (take_signals(m) == 0)
            code = serve(m);
    }
    destroy(m);
    pidfile_close();
    return code;
}
