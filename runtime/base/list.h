// An intrusive doubly linked ring. The head is a node too; a node alone points at itself.
// Owns nothing. list_unlink on a lone node is harmless.
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct list {
    struct list *next, *prev;
} list_t;

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(list_t *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const list_t *l)
{
    return l->next == l;
}

static inline void list_push_back(list_t *head, list_t *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_push_front(list_t *head, list_t *node)
{
    list_push_back(head->next, node);
}

static inline void list_unlink(list_t *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
