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
#include "core/master_impl.h"
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

static _Noreturn void load_in_child(master_t *m)
{
    buf_t document = {0}, problems = {0};
    int document_fd = m->loader_document, problems_fd = m->loader_problems;
    master_become_child(m, -1);
    prctl(PR_SET_NAME, "moongate-load");
    int rc = m->o->load(m->s, &document, &problems);
    bool written = write_all(problems_fd, buf_str(&problems)) == 0 &&
                   (rc != 0 || write_all(document_fd, buf_str(&document)) == 0);
    if (!written)
        log_write(LOG_ERR, "the loader cannot hand over its result: %s", strerror(errno));
    _exit(rc == 0 && written ? 0 : 1);
}

void master_load_begin(master_t *m)
{
    ASSERT(m->loader == 0, "one load at a time");
    m->loader_document =
        memfd_create("moongate-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    m->loader_problems = memfd_create("moongate-problems", MFD_CLOEXEC);
    pid_t pid = m->loader_document >= 0 && m->loader_problems >= 0 ? fork() : -1;
    if (pid == 0)
        load_in_child(m);
    if (pid < 0) {
        log_write(LOG_ERR, "the configuration cannot be read: %s", strerror(errno));
        close(m->loader_document);
        close(m->loader_problems);
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

bool master_load_end(master_t *m, int status)
{
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    str_t problems = map_file(m->loader_problems);
    if (!good && m->state == MASTER_STARTING)
        leave_cause(problems);
    control_log_problems(problems, good ? LOG_WARN : LOG_ERR);
    unmap_file(problems);
    close(m->loader_problems);
    if (m->state <= MASTER_RUNNING)
        log_end(status); // else we ended it ourselves
    m->loader = 0;
    document_t made = {.fd = m->loader_document};
    if (!good) {
        document_close(&made);
        return false;
    }
    if (fcntl(made.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        log_write(LOG_INFO, "the configuration cannot be sealed: %s", strerror(errno));
    str_t text = map_file(made.fd);
    made.p = (char *)(uintptr_t)text.p;
    made.n = text.n;
    if (text.n == 0) {
        log_write(LOG_ERR, "the loader made an empty document");
        document_close(&made);
        return false;
    }
    document_close(&m->candidate);
    m->candidate = made;
    return true;
}

void master_load_cancel(master_t *m)
{
    if (m->loader)
        kill(m->loader, SIGKILL);
    m->load_again = false;
}
