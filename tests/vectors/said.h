/* What a reply in OpenAI's chat format says, summed up by cJSON, which shares no code with the
 * plugins. */
#ifndef TP_TEST_VECTORS_SAID_H
#define TP_TEST_VECTORS_SAID_H
#include <cjson/cJSON.h>
#include "host.h"

#define CHOICES 8
#define CALLS 16

typedef struct said_call {
    buf arguments;
    char id[128], name[128];
    int index;
} said_call;
typedef struct said {
    buf text[CHOICES], reasoning[CHOICES], refusal[CHOICES];
    said_call calls[CHOICES][CALLS];
    int call_count[CHOICES];
    char finish[CHOICES][32];
    int64_t total; /* tokens; -1: not said */
    int error, done;
} said;

said *said_new(void);
void said_free(said *s);
/* Of a stream or a whole reply; also of Mistral's own form of content, in parts. */
said *sum_up(tp_str body, int streaming);
/* The data of each event, in order. Written on its own, on purpose. */
void each_event(tp_str body, void (*fn)(void *, tp_str), void *arg);

static inline cJSON *get(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}
static inline const char *string_of(const cJSON *o, const char *key)
{
    const cJSON *v = get(o, key);
    return cJSON_IsString(v) ? v->valuestring : "";
}
#endif
