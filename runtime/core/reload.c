// Building and adopting generations, and the watching of a process without a master; see reload.h.
#include "core/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "config/generation.h"
#include "core/config_state.h"
#include "core/control.h"
#include "core/last_good.h"
#include "core/stats.h"
#include "core/watcher.h"

enum { WHY_MAX = 1024, LOOK_MS = 50 };

typedef struct job {
    reloads_t *reloads;
    list_t links;
    uint32_t seq;
    bool files;     // the document is made here, by `load`
    int fd;         // else it is mapped from here
    str_t document; // what `generation` is made of
    load_t load;
    load_outcome_t outcome;
    buf_t facts_before;
    generation_t *generation;
    int rc;
    char why[WHY_MAX];
} job_t;

struct reloads {
    worker_t *worker;
    reload_done_fn done;
    void *arg;
    list_t jobs; // the first is under way
    bool busy, closing;
    // without a master
    load_fn load;
    buf_t facts; // of the last load
    watcher_t *watcher;
    io_watch_t *watch;
    io_timer_t look;
};

const char *reload_summary(const worker_t *w, char *out, size_t cap)
{
    const generation_t *g = w->gen;
    snprintf(out, cap, "hash %s, %u services, %u routes, %u plugins", g->hash, g->n_services,
             g->n_routes, g->n_plugins);
    return out;
}

// ---- on the pool thread ----

static int map_document(job_t *j)
{
    struct stat st;
    if (j->fd < 0 || fstat(j->fd, &st) != 0 || st.st_size == 0) {
        snprintf(j->why, sizeof j->why, "the configuration did not come along");
        return -1;
    }
    char *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, j->fd, 0);
    if (p == MAP_FAILED) {
        snprintf(j->why, sizeof j->why, "the configuration cannot be mapped: %s",
                 strerror(errno));
        return -1;
    }
    j->document = str_make(p, (size_t)st.st_size);
    return 0;
}

static void build(job_t *j)
{
    j->rc = generation_create(j->document, 0, &j->generation, j->why, sizeof j->why);
}

static void work(void *arg)
{
    job_t *j = arg;
    j->rc = -1;
    if (j->files) {
        j->outcome = j->reloads->load(&j->load);
        j->document = buf_str(&j->load.document);
        if (j->outcome == LOAD_DONE)
            build(j);
    } else if (map_document(j) == 0) {
        build(j);
        munmap((void *)(uintptr_t)j->document.p, j->document.n);
    }
}

// ---- back on the loop ----

static void start_next(reloads_t *r);

static void adopt(job_t *j)
{
    if (j->rc == 0)
        j->rc = worker_adopt(j->reloads->worker, j->generation, j->why, sizeof j->why);
    if (j->rc == 0)
        reload_summary(j->reloads->worker, j->why, sizeof j->why);
    j->generation = NULL;
}

static void job_free(job_t *j)
{
    list_unlink(&j->links);
    if (j->generation)
        generation_release(j->generation);
    if (j->fd >= 0)
        close(j->fd);
    load_dispose(&j->load);
    buf_dispose(&j->facts_before);
    free(j);
}

static bool same_document(const job_t *j)
{
    const generation_t *g = j->reloads->worker->gen;
    return j->generation && j->load.known.n && str_eq(g->json, j->generation->json);
}

static void tell_failed(job_t *j)
{
    reloads_t *r = j->reloads;
    bool invalid = j->outcome == LOAD_INVALID;
    control_log_problems(buf_str(&j->load.problems), LOG_ERR);
    stat_fixed_add(SF_RELOADS_FAILED, 1);
    log_write(LOG_ERR, "reload refused, the running configuration stays in use%s%s",
              invalid ? "" : ": ", invalid ? "" : j->why);
    config_state_failed(invalid ? buf_str(&j->load.problems) : str_from(j->why),
                        facts_get(buf_str(&r->facts), STR("content")));
}

static void tell_done(job_t *j)
{
    str_t facts = buf_str(&j->reloads->facts);
    uint64_t files = 0;
    str_to_u64(facts_get(facts, STR("files")), &files);
    control_log_problems(buf_str(&j->load.problems), LOG_WARN);
    stat_fixed_add(SF_RELOADS_OK, 1);
    log_write(LOG_NOTICE, "configuration reloaded: %s", j->why);
    config_state_loaded(str_from(j->reloads->worker->gen->hash), (uint32_t)files,
                        facts_get(facts, STR("content")));
    last_good_keep(j->reloads->worker->settings, LAST_GOOD_DOCUMENT, j->document);
}

static void tell_unchanged(job_t *j)
{
    stat_fixed_add(SF_RELOADS_UNCHANGED, 1);
    log_write(LOG_INFO, "the configuration has not changed");
    if (j->outcome == LOAD_UNCHANGED)
        return;
    config_state_t *s = config_state_begin(); // back to what is in use
    s->attempt_ok = true;
    s->attempt_ms = clock_wall_us() / 1000;
    s->error[0] = '\0';
    config_state_end();
}

// What a process alone makes of its files.
static void files_read(job_t *j)
{
    reloads_t *r = j->reloads;
    if (j->outcome == LOAD_CHANGING) {
        watcher_again(r->watcher, clock_mono_us() / 1000);
        return;
    }
    if (j->outcome != LOAD_UNCHANGED) {
        buf_clear(&r->facts);
        buf_append(&r->facts, buf_str(&j->load.facts));
        watcher_set_facts(r->watcher, buf_str(&r->facts));
    }
    if (j->outcome == LOAD_UNCHANGED || same_document(j)) {
        tell_unchanged(j);
        return;
    }
    adopt(j);
    j->rc == 0 ? tell_done(j) : tell_failed(j);
}

static void work_done(void *arg)
{
    job_t *j = arg;
    reloads_t *r = j->reloads;
    r->busy = false;
    if (!r->closing && j->files) {
        files_read(j);
    } else if (!r->closing) {
        adopt(j);
        r->done(r->arg, j->seq, j->rc, j->why);
    }
    job_free(j);
    if (!r->closing)
        start_next(r);
}

static void start_next(reloads_t *r)
{
    if (r->busy || list_empty(&r->jobs))
        return;
    r->busy = true;
    loop_queue_work(r->worker->loop, work, work_done, CONTAINER_OF(r->jobs.next, job_t, links));
}

static job_t *job_add(reloads_t *r)
{
    job_t *j = mem_zalloc(sizeof *j);
    j->reloads = r;
    j->fd = -1;
    list_init(&j->links);
    list_push_back(&r->jobs, &j->links);
    return j;
}

void reload_take(reloads_t *r, int fd, uint32_t seq)
{
    job_t *j = job_add(r);
    j->fd = fd;
    j->seq = seq;
    start_next(r);
}

// ---- without a master ----

static void read_files(reloads_t *r, bool in_any_case)
{
    job_t *j = job_add(r);
    j->files = true;
    buf_append(&j->facts_before, buf_str(&r->facts));
    j->load.settings = r->worker->settings;
    j->load.known = in_any_case ? (str_t){0} : buf_str(&j->facts_before);
    start_next(r);
}

void reload_alone(reloads_t *r)
{
    if (!r->load || r->worker->draining) {
        log_write(LOG_WARN, "reload refused: %s", r->load ? "draining" : "there is no loader");
        return;
    }
    read_files(r, true);
}

static void look(io_timer_t *t)
{
    reloads_t *r = CONTAINER_OF(t, reloads_t, look);
    uint64_t now_ms = clock_mono_us() / 1000;
    if (!r->worker->draining && list_empty(&r->jobs) && watcher_due(r->watcher, now_ms))
        read_files(r, false);
    if (r->watch && watcher_fd(r->watcher) < 0) {
        loop_watch_stop(r->watch);
        r->watch = NULL;
    }
    uint64_t next_ms = watcher_next_ms(r->watcher);
    if (next_ms)
        io_timer_start(t, next_ms > now_ms + LOOK_MS ? next_ms - now_ms : LOOK_MS);
}

static void on_events(void *arg, int fd)
{
    (void)fd;
    reloads_t *r = arg;
    look(&r->look);
}

void reload_alone_start(reloads_t *r, load_fn load, str_t facts)
{
    r->load = load;
    buf_append(&r->facts, facts);
    r->watcher = watcher_create(r->worker->settings);
    watcher_set_facts(r->watcher, facts);
    int fd = watcher_fd(r->watcher);
    if (fd >= 0)
        r->watch = loop_watch_start(r->worker->loop, fd, on_events, r);
    look(&r->look);
    config_state_t *s = config_state_begin();
    snprintf(s->watch, sizeof s->watch, "%s", watcher_mode(r->watcher));
    config_state_end();
}

// ---- life ----

reloads_t *reloads_create(worker_t *w, reload_done_fn done, void *arg)
{
    reloads_t *r = mem_zalloc(sizeof *r);
    r->worker = w;
    r->done = done;
    r->arg = arg;
    list_init(&r->jobs);
    io_timer_init(&r->look, w->loop, look);
    return r;
}

void reloads_destroy(reloads_t *r)
{
    r->closing = true;
    io_timer_stop(&r->look);
    if (r->watch)
        loop_watch_stop(r->watch);
    while (r->busy)
        loop_turn(r->worker->loop, 10);
    while (!list_empty(&r->jobs))
        job_free(CONTAINER_OF(r->jobs.next, job_t, links));
    watcher_destroy(r->watcher);
    buf_dispose(&r->facts);
    free(r);
}
