// One process alone, without a master: settings->master is off. It reads the files itself (reload.h) and is the one worker.
// Not the master's loop (master.c).
#include "base/log.h"
#include "config/generation.h"
#include "core/config_state.h"
#include "core/last_good.h"
#include "core/master_impl.h"
#include "core/stats.h"

static void tell_alone(const load_t *l, bool from_last_good)
{
    char hash[33];
    uint64_t files = 0;
    str_t facts = buf_str(&l->facts), content = facts_get(facts, STR("content"));
    str_to_u64(facts_get(facts, STR("files")), &files);
    generation_hash(buf_str(&l->document), hash);
    config_state_loaded(str_from(hash), (uint32_t)files, content);
    if (!from_last_good) {
        last_good_keep(l->settings, LAST_GOOD_DOCUMENT, buf_str(&l->document));
        return;
    }
    config_state_failed(buf_str(&l->problems), content);
    config_state_begin()->last_good = true;
    config_state_end();
}

static int load_alone(const master_t *m, load_t *l)
{
    *l = (load_t){.settings = m->s};
    bool good = m->o->load(l) == LOAD_DONE;
    control_log_problems(buf_str(&l->problems), good ? LOG_WARN : LOG_EMERG);
    bool last_good = !good && last_good_take(m->s, LAST_GOOD_DOCUMENT, &l->document) == 0;
    if (!good && !last_good) {
        log_write(LOG_EMERG, "not started: the configuration is invalid");
        return -1;
    }
    if (last_good)
        log_write(LOG_ERR, "%s", LAST_GOOD_USED);
    tell_alone(l, last_good);
    return 0;
}

int master_serve_alone(master_t *m)
{
    load_t first;
    int code = 1;
    m->n_slots = m->n_workers = 1;
    if (m->s->n_admin_listen > 0) {
        log_write(LOG_EMERG, "not started: the Admin API needs a master (leave out "
                             "--no-master, or set admin_listen to off)");
        return 1;
    }
    stats_use_slot(0);
    if (load_alone(m, &first) == 0 && master_bind(m) == 0) {
        control_set_alone(m->o->load, buf_str(&first.facts), m->slots[0].fds,
                          m->s->n_proxy_listen);
        worker_opts_t o = {.settings = m->s,
                           .script = m->o->script,
                           .listen_fds = m->slots[0].fds,
                           .document = buf_str(&first.document).p,
                           .document_n = first.document.n,
                           .control_fd = -1,
                           .heartbeat = m->beats};
        code = worker_run(&o);
    }
    load_dispose(&first);
    return code;
}
