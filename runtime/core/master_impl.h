// What the files of the master share; nobody outside includes it.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "core/master.h"
#include "core/quarantine.h"
#include "core/watcher.h"

enum {
    SLOTS_MAX = 128,
    WORKERS_MAX = SLOTS_MAX - 1, // one is the Admin API's
    MASTER_TICK_MS = 100,        // how often the master looks around without being told
    FDS_MAX = 2 * LISTEN_MAX,    // listening descriptors of one slot
    BEAT_STRIDE = 8,             // uint64_t's between two heartbeats: a cache line
    RECENT_DEATHS = 5,
};

// One worker's place. Its listening sockets outlive the worker: what queues there waits for the next one.
typedef struct slot {
    pid_t pid;   // 0: nobody
    int control; // our end, -1: closed
    int fds[FDS_MAX];
    bool ready;                                     // said CONTROL_READY
    uint64_t started_ms, respawn_at_ms, aborted_ms; // 0: not so
    uint64_t deaths_ms[RECENT_DEATHS];
    unsigned n_deaths;
    uint32_t awaited;      // sequence number of the document it has not answered for, 0: none
    uint32_t document_seq; // of the document it started with or was sent
} slot_t;

typedef enum master_state {
    MASTER_STARTING,
    MASTER_RUNNING,
    MASTER_DRAINING,
    MASTER_STOPPING
} master_state_t;

typedef enum reload_phase {
    RELOAD_NONE,
    RELOAD_TRYING,    // one worker has the candidate
    RELOAD_SPREADING, // it is current now, the other workers have it
} reload_phase_t;

// A configuration as the loader's child wrote it.
typedef struct document {
    int fd;  // sealed memory file; -1: none
    char *p; // mapped
    size_t n;
} document_t;

typedef struct master {
    const master_opts_t *o;
    const settings_t *s;
    master_state_t state;
    int exit_code;
    pid_t self;
    unsigned n_workers; // slots 0 to n_workers - 1
    unsigned n_slots;   // one more with the Admin API
    unsigned n_fds;     // of each worker's slot
    slot_t slots[SLOTS_MAX];
    volatile uint64_t *beats; // shared
    int signal_fd;
    sigset_t inherited; // the signal mask children get back
    document_t current;
    document_t
        current_admin; // the same for the Admin API's process; none while its entities are not known (last_good)
    pid_t loader; // 0: none
    int loader_document, loader_problems, loader_facts, loader_admin;
    uint64_t loader_deadline_ms;
    bool load_again;  // in any case, when this one is over
    bool load_forced; // under way: in use even when nothing has changed
    buf_t facts;      // of the last load that came to an end
    watcher_t *watcher;
    bool crowded;              // too many generations are alive
    bool from_last_good;       // the first configuration is that of an earlier run
    uint32_t current_seq, seq; // of `current`; of the newest
    reload_phase_t phase;
    document_t candidate, candidate_admin;                         // during RELOAD_TRYING
    unsigned canary;                                               // the slot that tries it
    uint64_t deadline_ms, silence_at_ms, shut_at_ms, last_turn_ms; // 0: none
    // the Admin API (master_admin.c)
    settings_t admin_settings; // its process's: slices are borrowed from *s
    bool asked, posting; // it wants a load; the load or reload under way is what it wanted
    uint32_t asked_seq;
    int asked_fd, posted_fd;        // the text that it wants, or had, put in use; -1: none
    buf_t posted_facts;             // as `facts`, of what was posted
    char summary[CONTROL_TEXT_MAX]; // what a worker said last of what it serves
} master_t;

#define LAST_GOOD_USED                                                                         \
    "the configuration is invalid; the last one that worked is used (last_good)"

uint64_t master_now_ms(void);

// master_alone.c: this process becomes the one worker. The process's exit code.
int master_serve_alone(master_t *m);

// master_admin.c: the process of the Admin API, and what it asks for.
void admin_init(master_t *m);
void admin_dispose(master_t *m);
static inline bool is_admin(const master_t *m, unsigned slot)
{
    return slot >= m->n_workers;
}
// Its sockets. 0, or -1 (said on the log).
int admin_bind(master_t *m);
// CONTROL_LOAD came; fd is taken.
void admin_ask(master_t *m, const control_message_t *msg, int fd);
// Starts what was asked for. The master is idle.
void admin_begin(master_t *m);
// What was asked for has come to an end.
void admin_answer(master_t *m, control_loaded_t how, const char *text);
// The gateway ends: nothing will come of what was asked for.
void admin_cancel(master_t *m);
// The text that a load begun now takes, owned (buf_dispose); p NULL: the files.
buf_t admin_text(const master_t *m);
// Which load's facts count: those of what is posted, or of the files.
buf_t *admin_facts(master_t *m);

// master_listen.c: every slot's sockets. 0, or -1 (said on the log).
int listen_one(const listen_setting_t *l, const char *setting, int *fd);
// The same for all. 0, or -1 (said on the log).
int master_bind(master_t *m);
// No new connections from now on, whoever holds the sockets.
// The proxy's listeners: see control_silence.
void master_silence_listeners(master_t *m);
void master_shut_listeners(master_t *m);
void master_close_listeners(master_t *m);

// master_load.c: the loader's child and the documents it makes.
// `forced`: also when the files are those of the last load.
void master_load_begin(master_t *m, bool forced);
// The loader's child has ended with this status. LOAD_DONE: m->candidate is what it made. Its problems are logged.
load_outcome_t master_load_end(master_t *m, int status);
void master_load_cancel(master_t *m);
// Into m->candidate: 0 or -errno.
int master_take_last_good(master_t *m);
bool document_same(const document_t *a, const document_t *b);
// Says in the shared state that m->current is in use (and keeps it: last_good.h), and who has it.
void master_tell_loaded(master_t *m);
void master_tell_workers(const master_t *m);
void document_close(document_t *d);

// master_slots.c: workers' lives.
void slots_spawn(master_t *m, unsigned i);
void slots_died(master_t *m, unsigned i, int status);
void slots_check_beats(master_t *m);
void slots_respawn_due(master_t *m);
void slots_send(master_t *m, unsigned i, const control_message_t *msg, int fd);
void slots_order(master_t *m, control_order_t order, uint64_t arg); // all of them
void slots_signal(master_t *m, int signum);
unsigned slots_alive(const master_t *m);
bool slots_all_ready(const master_t *m);
// What a worker of this slot starts with; fd -1: there is nothing for it to do yet.
const document_t *slot_document(const master_t *m, unsigned i);
// In a forked child: closes what is the master's, gives the signals back.
void master_become_child(master_t *m, int keep_slot);

// master_reload.c: a candidate's way into the workers.
void reload_start(master_t *m);
// A worker became ready: it may have started with an older document.
void reload_slot_ready(master_t *m, unsigned i);
void reload_answered(master_t *m, unsigned i, const control_message_t *msg);
void reload_slot_lost(master_t *m, unsigned i);
