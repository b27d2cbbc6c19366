// Shared dictionaries: lists, as ngx.shared.DICT's lpush, rpush, lpop, rpop, llen. An element is a chain of its own.
// Invariant: an empty list does not exist; the last pop removes its entry.
#include "base/check.h"
#include "core/shdict_stripe.h"

static uint32_t find_list(stripe_t *s, const shdict_key_t *key, int *rc)
{
    uint32_t b = stripe_find(s, key);
    if (b && node_expired(node_at(s, b), shdict_now_ms())) {
        stripe_remove(s, b);
        b = 0;
    }
    if (b)
        stripe_touch(s, b);
    bool other = b && node_at(s, b)->type != TYPE_LIST;
    *rc = other ? SHD_NOT_A_LIST : b ? SHD_OK : SHD_NOT_FOUND;
    return other ? 0 : b;
}

static uint32_t item_make(stripe_t *s, const shdict_value_t *v)
{
    str_t value = v->type == SHD_STRING ? v->string : (str_t){0};
    uint32_t b = chain_take(s, blocks_for(ITEM_HEAD, value.n));
    item_t *it = &s->blocks[b].item;
    *it = (item_t){.next = it->next,
                   .kind = BLOCK_ITEM,
                   .type = (uint8_t)v->type,
                   .value_n = (uint32_t)value.n,
                   .number = v->number};
    chain_write(s, b, ITEM_HEAD, 0, value);
    return b;
}

static void item_link(stripe_t *s, node_t *n, uint32_t b, bool left)
{
    item_t *it = &s->blocks[b].item;
    uint32_t *end = left ? &n->list.first : &n->list.last;
    *(left ? &it->right : &it->left) = *end;
    if (*end)
        *(left ? &s->blocks[*end].item.left : &s->blocks[*end].item.right) = b;
    else
        n->list.first = n->list.last = b;
    *end = b;
    n->value_n++;
}

static int push_locked(stripe_t *s, const shdict_key_t *key, const shdict_value_t *v, bool left,
                       uint32_t *len)
{
    int rc;
    uint32_t b = find_list(s, key, &rc);
    if (rc == SHD_NOT_A_LIST)
        return rc;
    size_t value_n = v->type == SHD_STRING ? v->string.n : 0;
    if (value_n > (size_t)s->n_blocks * BLOCK_BYTES)
        return SHD_NO_MEMORY;
    uint32_t need =
        blocks_for(ITEM_HEAD, value_n) + (b ? 0 : blocks_for(NODE_HEAD, key->text.n));
    rc = stripe_make_room(s, need, b, false, NULL);
    if (rc != SHD_OK)
        return rc;
    change_begin(s);
    if (!b) {
        b = stripe_insert(s, key, (str_t){0});
        node_at(s, b)->type = TYPE_LIST;
        node_at(s, b)->list.first = node_at(s, b)->list.last = 0;
    }
    item_link(s, node_at(s, b), item_make(s, v), left);
    change_end(s);
    *len = node_at(s, b)->value_n;
    return SHD_OK;
}

int shdict_push(shdict_t *d, str_t text, const shdict_value_t *v, bool left, uint32_t *len)
{
    ASSERT(v->type == SHD_STRING || v->type == SHD_NUMBER, "a list holds strings and numbers");
    if (text.n == 0 || text.n > UINT16_MAX)
        return SHD_KEY_INVALID;
    shdict_key_t key;
    stripe_t *s = shdict_lock(d, text, &key);
    int rc = push_locked(s, &key, v, left, len);
    stripe_unlock(s);
    return rc;
}

static void item_unlink(stripe_t *s, node_t *n, uint32_t b)
{
    const item_t *it = &s->blocks[b].item;
    *(it->left ? &s->blocks[it->left].item.right : &n->list.first) = it->right;
    *(it->right ? &s->blocks[it->right].item.left : &n->list.last) = it->left;
    n->value_n--;
    chain_free(s, b);
}

static int pop_locked(stripe_t *s, uint32_t list, bool left, shdict_value_t *out, char *buf,
                      size_t cap)
{
    node_t *n = node_at(s, list);
    uint32_t b = left ? n->list.first : n->list.last;
    ASSERT(b != 0, "a list that exists is not empty");
    const item_t *it = &s->blocks[b].item;
    *out = (shdict_value_t){.type = it->type, .number = it->number};
    if (it->type == SHD_STRING) {
        out->string = str_make(buf, it->value_n);
        if (it->value_n > cap)
            return SHD_NO_MEMORY;
        chain_read(s, b, ITEM_HEAD, 0, buf, it->value_n);
    }
    change_begin(s);
    item_unlink(s, n, b);
    if (n->value_n == 0)
        stripe_remove(s, list);
    change_end(s);
    return SHD_OK;
}

int shdict_pop(shdict_t *d, str_t text, bool left, shdict_value_t *out, char *buf, size_t cap)
{
    if (text.n == 0 || text.n > UINT16_MAX)
        return SHD_KEY_INVALID;
    shdict_key_t key;
    stripe_t *s = shdict_lock(d, text, &key);
    int rc;
    uint32_t b = find_list(s, &key, &rc);
    if (b)
        rc = pop_locked(s, b, left, out, buf, cap);
    stripe_unlock(s);
    return rc;
}

int shdict_len(shdict_t *d, str_t text, uint32_t *len)
{
    if (text.n == 0 || text.n > UINT16_MAX)
        return SHD_KEY_INVALID;
    shdict_key_t key;
    stripe_t *s = shdict_lock(d, text, &key);
    int rc;
    uint32_t b = find_list(s, &key, &rc);
    *len = b ? node_at(s, b)->value_n : 0;
    stripe_unlock(s);
    return rc == SHD_NOT_FOUND ? SHD_OK : rc;
}
