/* A map from text to number: open addressing. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct map {
    char **key;
    int64_t *value;
    int64_t n, capacity; /* a power of 2 */
};

struct map *map_new(struct err *err)
{
    struct map *m = mem_new(1, sizeof *m, err);

    if (!m)
        return NULL;
    m->capacity = 64;
    m->key = mem_new(m->capacity, sizeof *m->key, err);
    m->value = mem_new(m->capacity, sizeof *m->value, err);
    if (!m->key || !m->value) {
        map_free(m);
        return NULL;
    }
    return m;
}

void map_free(struct map *m)
{
    if (!m)
        return;
    for (int64_t i = 0; m->key && i < m->capacity; i++)
        free(m->key[i]);
    free(m->key);
    free(m->value);
    free(m);
}

static uint64_t text_hash(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
    return h ^ (h >> 29);
}

static int64_t slot_of(char *const *key, int64_t capacity, const char *s)
{
    int64_t i = (int64_t)(text_hash(s) & (uint64_t)(capacity - 1));

    while (key[i] && strcmp(key[i], s) != 0)
        i = (i + 1) & (capacity - 1);
    return i;
}

int64_t map_get(const struct map *m, const char *key)
{
    int64_t i = slot_of(m->key, m->capacity, key);
    return m->key[i] ? m->value[i] : -1;
}

static int map_double(struct map *m, struct err *err)
{
    int64_t capacity = 2 * m->capacity;
    char **key = mem_new(capacity, sizeof *key, err);
    int64_t *value = mem_new(capacity, sizeof *value, err);

    if (!key || !value) {
        free(key);
        free(value);
        return -1;
    }
    for (int64_t i = 0; i < m->capacity; i++)
        if (m->key[i]) {
            int64_t to = slot_of(key, capacity, m->key[i]);
            key[to] = m->key[i];
            value[to] = m->value[i];
        }
    free(m->key);
    free(m->value);
    m->key = key;
    m->value = value;
    m->capacity = capacity;
    return 0;
}

int map_put(struct map *m, const char *key, int64_t value, struct err *err)
{
    if (2 * (m->n + 1) > m->capacity && map_double(m, err))
        return -1;

    int64_t i = slot_of(m->key, m->capacity, key);
    if (!m->key[i]) {
        m->key[i] = mem_strdup(key, err);
        if (!m->key[i])
            return -1;
        m->n++;
    }
    m->value[i] = value;
    return 0;
}
