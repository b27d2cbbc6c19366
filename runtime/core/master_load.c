// Reading the configuration in a child of its own: the master stays small, and nothing a schema does can hurt it.
// Invariant: a document is sealed before anybody else sees it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/notify.h"
#include "core/master_impl.h"
#include "config/generation.h"
#include "core/config_state.h"
#include "core/last_good.h"
#include "core/node.h"

enum { LOAD_MS = 120000 };

static int write_all(int fd, str_t s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        s = str_from_at(s, (size_t)n);
    }
    return 0;
}

// The exit codes of the child are outcomes; anything else is a failure.
static _Noreturn void load_in_child(master_t *m)
{
    buf_t posted = admin_text(m);
    load_t l = {.settings = m->s,
                .known = m->load_forced ? (str_t){0} : buf_str(admin_facts(m)),
                .posted = posted.p ? buf_str(&posted) : (str_t){0}};
    int document_fd = m->loader_document, problems_fd = m->loader_problems,
        facts_fd = m->loader_facts, admin_fd = m->loader_admin;
    master_become_child(m, -1);
    prctl(PR_SET_NAME, "moongate-load");
    load_outcome_t outcome = m->o->load(&l);
    bool written =
        write_all(problems_fd, buf_str(&l.problems)) == 0 &&
        write_all(facts_fd, buf_str(&l.facts)) == 0 &&
        (outcome != LOAD_DONE || (write_all(document_fd, buf_str(&l.document)) == 0 &&
                                  write_all(admin_fd, buf_str(&l.admin)) == 0));
    if (!written)
        log_write(LOG_ERR, "the loader cannot hand over its result: %s", strerror(errno));
    _exit(written ? (int)outcome : (int)LOAD_INVALID);
}

static void close_results(master_t *m)
{
    const int fds[] = {m->loader_document, m->loader_problems, m->loader_facts,
                       m->loader_admin};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    m->loader_document = m->loader_problems = m->loader_facts = m->loader_admin = -1;
}

void master_load_begin(master_t *m, bool forced)
{
    ASSERT(m->loader == 0, "one load at a time");
    m->load_forced = forced;
    m->loader_document =
        memfd_create("moongate-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    m->loader_problems = memfd_create("moongate-problems", MFD_CLOEXEC);
    m->loader_facts = memfd_create("moongate-facts", MFD_CLOEXEC);
    m->loader_admin = memfd_create("moongate-admin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool ready = m->loader_document >= 0 && m->loader_problems >= 0 && m->loader_facts >= 0 &&
                 m->loader_admin >= 0;
    pid_t pid = ready ? fork() : -1;
    if (pid == 0)
        load_in_child(m);
    if (pid < 0) {
        log_write(LOG_ERR, "the configuration cannot be read: %s", strerror(errno));
        close_results(m);
        return;
    }
    m->loader = pid;
    m->loader_deadline_ms = master_now_ms() + LOAD_MS;
}

static str_t map_file(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size == 0)
        return STR("");
    char *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? (str_t){0} : str_make(p, (size_t)st.st_size);
}

static void unmap_file(str_t s)
{
    if (s.n > 0)
        munmap((void *)(uintptr_t)s.p, s.n);
}

void document_close(document_t *d)
{
    if (d->fd >= 0)
        close(d->fd);
    unmap_file(str_make(d->p, d->n));
    *d = (document_t){.fd = -1};
}

static void log_end(int status)
{
    if (WIFSIGNALED(status))
        log_write(LOG_ERR, "reading the configuration ended with signal %d (%s)",
                  WTERMSIG(status), strsignal(WTERMSIG(status)));
}

// The first problems, for who looks at a pod that does not start.
static void leave_cause(str_t problems)
{
    char text[2048];
    snprintf(text, sizeof text, "%.*s",
             (int)(problems.n < sizeof text ? problems.n : sizeof text - 1),
             problems.n ? problems.p : "");
    notify_failure(text);
}

static load_outcome_t outcome_of(int status)
{
    if (!WIFEXITED(status) || WEXITSTATUS(status) > LOAD_CHANGING)
        return LOAD_INVALID;
    return (load_outcome_t)WEXITSTATUS(status);
}

// The child's facts are what the next load is compared with, whether this one was good or not.
static void take_facts(master_t *m)
{
    str_t facts = map_file(m->loader_facts);
    buf_t *known = admin_facts(m);
    buf_clear(known);
    buf_append(known, facts);
    unmap_file(facts);
    if (m->watcher)
        watcher_set_facts(m->watcher, buf_str(known));
}

static void answer_invalid(master_t *m, str_t problems)
{
    char text[CONTROL_TEXT_MAX];
    snprintf(text, sizeof text, "%.*s",
             (int)(problems.n < sizeof text ? problems.n : sizeof text - 1),
             problems.n ? problems.p : "");
    admin_answer(m, LOADED_REFUSED, text);
}

static void take_problems(master_t *m, load_outcome_t outcome)
{
    str_t problems = map_file(m->loader_problems);
    if (outcome == LOAD_INVALID && m->state == MASTER_STARTING)
        leave_cause(problems);
    if (outcome == LOAD_INVALID && m->state <= MASTER_RUNNING)
        config_state_failed(problems.n ? problems : STR("the loader ended without a word"),
                            facts_get(buf_str(admin_facts(m)), STR("content")));
    control_log_problems(problems, outcome == LOAD_DONE ? LOG_WARN : LOG_ERR);
    if (outcome == LOAD_INVALID)
        answer_invalid(m, problems);
    unmap_file(problems);
}

// fd is taken. 0, or -1: the file is empty.
static int take_document(int fd, document_t *out)
{
    document_t made = {.fd = fd};
    if (fcntl(made.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        log_write(LOG_INFO, "the configuration cannot be sealed: %s", strerror(errno));
    str_t text = map_file(made.fd);
    made.p = (char *)(uintptr_t)text.p;
    made.n = text.n;
    document_close(out);
    *out = (document_t){.fd = -1};
    if (text.n == 0) {
        document_close(&made);
        return -1;
    }
    *out = made;
    return 0;
}

// What the loader's child made: of the Admin API's document there may be none.
static load_outcome_t take_documents(master_t *m)
{
    int document = m->loader_document, admin = m->loader_admin;
    m->loader_document = m->loader_admin = -1;
    take_document(admin, &m->candidate_admin);
    if (take_document(document, &m->candidate) == 0)
        return LOAD_DONE;
    log_write(LOG_ERR, "the loader made an empty document");
    return LOAD_INVALID;
}

bool document_same(const document_t *a, const document_t *b)
{
    return str_eq(str_make(a->p, a->n), str_make(b->p, b->n));
}

load_outcome_t master_load_end(master_t *m, int status)
{
    load_outcome_t outcome = outcome_of(status);
    if (outcome == LOAD_DONE || outcome == LOAD_INVALID)
        take_facts(m);
    take_problems(m, outcome);
    if (m->state <= MASTER_RUNNING)
        log_end(status); // else we ended it ourselves
    m->loader = 0;
    if (outcome == LOAD_DONE)
        outcome = take_documents(m);
    close_results(m);
    return outcome;
}

void master_load_cancel(master_t *m)
{
    if (m->loader)
        kill(m->loader, SIGKILL);
    m->load_again = false;
    admin_cancel(m);
}

// ---- the last good one ----

static int take_last_good(const settings_t *s, last_good_part_t part, document_t *out)
{
    buf_t text = {0};
    int rc = last_good_take(s, part, &text);
    int fd =
        rc == 0 ? memfd_create("moongate-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;
    if (rc == 0 && (fd < 0 || write_all(fd, buf_str(&text)) != 0))
        rc = -errno;
    buf_dispose(&text);
    if (rc == 0)
        return take_document(fd, out) == 0 ? 0 : -EINVAL;
    if (fd >= 0)
        close(fd);
    return rc;
}

int master_take_last_good(master_t *m)
{
    int rc = take_last_good(m->s, LAST_GOOD_DOCUMENT, &m->candidate);
    if (rc == 0 && m->n_slots > m->n_workers)
        take_last_good(m->s, LAST_GOOD_ADMIN, &m->candidate_admin); // or it waits
    return rc;
}

// ---- the shared state ----

void master_tell_workers(const master_t *m)
{
    config_state_t *s = config_state_begin();
    s->workers = s->workers_acked = 0;
    for (unsigned i = 0; i < m->n_workers; i++) {
        s->workers += m->slots[i].pid != 0;
        s->workers_acked += m->slots[i].ready && m->slots[i].document_seq == m->current_seq &&
                            m->slots[i].awaited == 0;
    }
    snprintf(s->watch, sizeof s->watch, "%s", watcher_mode(m->watcher));
    config_state_end();
}

void master_tell_loaded(master_t *m)
{
    char hash[33];
    uint64_t files = 0;
    str_t facts = buf_str(admin_facts(m));
    generation_hash(str_make(m->current.p, m->current.n), hash);
    str_to_u64(facts_get(facts, STR("files")), &files);
    config_state_loaded(str_from(hash), (uint32_t)files, facts_get(facts, STR("content")));
    if (m->from_last_good)
        return;
    last_good_keep(m->s, LAST_GOOD_DOCUMENT, str_make(m->current.p, m->current.n));
    if (m->current_admin.n > 0)
        last_good_keep(m->s, LAST_GOOD_ADMIN, str_make(m->current_admin.p, m->current_admin.n));
}
