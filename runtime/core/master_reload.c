// A new configuration's way into the workers: one tries it first; when it took it, it is in use for respawns too and goes to the others.
// Invariant: a candidate that the first worker refuses (or dies of) has touched no other.
#include "base/check.h"
#include "base/log.h"
#include "base/notify.h"
#include "core/config_state.h"
#include "core/master_impl.h"
#include "core/stats.h"

static void adopt(master_t *m)
{
    document_close(&m->current);
    document_close(&m->current_admin);
    m->current = m->candidate;
    m->current_admin = m->candidate_admin;
    m->current_seq = m->seq;
    m->candidate = m->candidate_admin = (document_t){.fd = -1};
    unsigned n = quarantine_lift();
    if (n > 0)
        log_write(LOG_NOTICE, "%u plugins that were switched off are on again", n);
}

static void send_document(master_t *m, unsigned i, const document_t *d, uint32_t seq)
{
    control_message_t msg = {.order = CONTROL_RELOAD, .seq = seq};
    m->slots[i].awaited = m->slots[i].document_seq = seq;
    slots_send(m, i, &msg, d->fd);
}

static void finish_if_done(master_t *m)
{
    for (unsigned i = 0; i < m->n_slots; i++) {
        if (m->slots[i].awaited)
            return;
    }
    m->phase = RELOAD_NONE;
    stat_fixed_add(SF_RELOADS_OK, 1);
    m->from_last_good = false;
    master_tell_loaded(m);
    log_write(LOG_NOTICE, "configuration reloaded: %s", m->summary);
    notify_ready("serving: %u workers, %s", m->n_workers, m->summary);
    admin_answer(m, LOADED_DONE, m->summary);
}

static void refuse(master_t *m, const char *why)
{
    m->phase = RELOAD_NONE;
    document_close(&m->candidate);
    document_close(&m->candidate_admin);
    stat_fixed_add(SF_RELOADS_FAILED, 1);
    config_state_failed(str_from(why), facts_get(buf_str(admin_facts(m)), STR("content")));
    log_write(LOG_ERR, "reload refused, the running configuration stays in use: %s", why);
    notify_ready("reload refused, the running configuration stays in use: %s", why);
    admin_answer(m, LOADED_REFUSED, why);
}

static void spread(master_t *m)
{
    adopt(m);
    m->phase = RELOAD_SPREADING;
    for (unsigned i = 0; i < m->n_slots; i++) {
        const document_t *d = slot_document(m, i);
        if (m->slots[i].ready && m->slots[i].document_seq != m->current_seq && d->fd >= 0)
            send_document(m, i, d, m->current_seq);
        else if (m->slots[i].pid == 0 && m->slots[i].respawn_at_ms == 0)
            slots_spawn(m, i); // the Admin API's process had nothing to tell before
    }
    finish_if_done(m);
}

void reload_start(master_t *m)
{
    ASSERT(m->candidate.fd >= 0 && m->phase == RELOAD_NONE, "one reload at a time");
    m->seq++;
    for (unsigned i = 0; i < m->n_workers; i++) {
        if (!m->slots[i].ready)
            continue;
        m->canary = i;
        m->phase = RELOAD_TRYING;
        send_document(m, i, &m->candidate, m->seq);
        return;
    }
    spread(m); // nobody serves; the next worker starts with it
}

void reload_slot_ready(master_t *m, unsigned i)
{
    if (m->slots[i].document_seq != m->current_seq)
        send_document(m, i, slot_document(m, i), m->current_seq);
}

void reload_answered(master_t *m, unsigned i, const control_message_t *msg)
{
    bool refused = msg->order == CONTROL_REFUSED;
    if (m->slots[i].awaited == 0 || m->slots[i].awaited != msg->seq)
        return;
    m->slots[i].awaited = 0;
    if (m->phase == RELOAD_TRYING && i == m->canary) {
        if (refused)
            m->slots[i].document_seq = m->current_seq;
        refused ? refuse(m, msg->text) : spread(m);
        return;
    }
    if (refused)
        log_write(LOG_ERR, "worker %u alone refused the new configuration: %s", i, msg->text);
    if (m->phase == RELOAD_SPREADING)
        finish_if_done(m);
}

void reload_slot_lost(master_t *m, unsigned i)
{
    if (m->slots[i].awaited == 0)
        return;
    m->slots[i].awaited = 0;
    if (m->phase == RELOAD_TRYING && i == m->canary)
        refuse(m, "the worker that tried it died");
    else if (m->phase == RELOAD_SPREADING)
        finish_if_done(m); // the next one starts with it
}
