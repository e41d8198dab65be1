/* A worker's memory for calls: everything that a call puts out lives here until the next reset. */
#include <stdlib.h>
#include "plug/call.h"

#define BASE_SIZE (32u << 10) /* most requests need less, and then no chunk comes or goes */
#define TAPE_KEPT (64u << 10) /* tokens; one huge document must not hold its memory for ever */

void plug_scratch_init(plug_scratch *s, arena_pool *pool, size_t max, const logger *log)
{
    *s = (plug_scratch){.log = log};
    arena_init(&s->mem, pool, max);
    s->base = tp_xmalloc(BASE_SIZE);
    arena_base(&s->mem, s->base, BASE_SIZE);
}

void plug_scratch_reset(plug_scratch *s)
{
    arena_reset(&s->mem);
    s->memo[0] = s->memo[1] = (plug_scan_memo){0};
    s->memo_next = 0;
    s->scan_error = (json_error){0};
    if (s->tape.cap > TAPE_KEPT)
        json_tape_free(&s->tape);
}

void plug_scratch_free(plug_scratch *s)
{
    plug_scratch_reset(s);
    json_tape_free(&s->tape);
    free(s->base);
    s->base = NULL;
}

void plug_scratch_know(plug_scratch *s, const tp_doc *d)
{
    s->memo[s->memo_next] = (plug_scan_memo){.text = d->text, .tokens = d->tokens,
                                             .count = d->count};
    s->memo_next ^= 1;
}
