// What reading the configuration takes and gives; the reader itself is lua/loader.h, a child of the master (master_load.c) or a pool
// thread of a process alone (alone.c) runs it. Also the facts it leaves behind, as lines "name value".
#pragma once

#include "base/buf.h"
#include "config/settings.h"

typedef enum load_outcome {
    LOAD_DONE = 0,      // `document` is there
    LOAD_INVALID = 1,   // `problems` say why
    LOAD_UNCHANGED = 2, // nothing of what was read differs from `known`
    LOAD_CHANGING = 3,  // the files change faster than they can be read: later again
} load_outcome_t;

typedef struct load {
    const settings_t *settings; // borrowed
    str_t known;                // borrowed: facts of the last load; empty: load in any case
    bool bare;                  // a document for people: without plugins' code and secrets
    str_t posted; // borrowed: the configuration's text, instead of files; {NULL, 0}: the files
    buf_t document; // JSON
    buf_t admin; // JSON: the same for the process of the Admin API; empty without admin_listen
    buf_t problems; // one a line, warnings too
    // "content HEX": SHA-256 of everything that was read; "files N"; "secret PATH": each file that a vault reference names.
    buf_t facts;
} load_t;

typedef load_outcome_t (*load_fn)(load_t *l);
void load_dispose(load_t *l);

// The first fact of that name, or {NULL, 0}.
str_t facts_get(str_t facts, str_t name);
// Takes the next line off: false at the end.
bool facts_next(str_t *facts, str_t *name, str_t *value);

// One line of `problems`, taken apart: "file:line:column: message" or "file:line: message", else all of it is the message.
typedef struct problem {
    str_t file;            // {NULL, 0}: it has no place
    uint64_t line, column; // column 0: none is known
    str_t message;
} problem_t;

// Takes the next problem off (empty lines are passed over): false at the end. Borrowed from *problems.
bool problems_next(str_t *problems, problem_t *out);
