/* What is remembered of the choices of a stream: OpenAI counts tool calls from 0 in each choice, while
 * items count all parts. The choice and the call that were used last are found at once; any other
 * call in at most 32 steps, whatever numbers an upstream gives its items. */
#include "chat_int.h"

chat_choice *chat_choice_at(const render_call *r, uint32_t index)
{
    chat_choice **from = &r->s->choices, *x;
    while ((x = *from) && x->index != index)
        from = &x->next;
    if (x && from != &r->s->choices) { /* the next event is likely of the same one */
        *from = x->next;
        x->next = r->s->choices;
        r->s->choices = x;
    }
    return x;
}

chat_choice *chat_choice_made(render_call *r, uint32_t index)
{
    chat_choice *x = chat_choice_at(r, index);
    if (x)
        return x;
    x = r->h->keep(r->c, sizeof(*x));
    if (!x) {
        r->st = r->h->fail(r->c, TP_E_NOMEM, SPAN_NONE,
                           SPAN("the reply holds more choices than can be kept track of"));
        return NULL;
    }
    *x = (chat_choice){.next = r->s->choices, .index = index};
    r->s->choices = x;
    return x;
}

/* The tree branches by the bits of the item, the lowest first, so that items which count up fill it
 * evenly; two items differ in one of 32 bits, which bounds its depth. Answers the place of the call,
 * or the one where it belongs. */
static chat_call **place_of(chat_choice *x, uint32_t item)
{
    chat_call **at = &x->calls;
    for (uint32_t bits = item; *at && (*at)->item != item; bits >>= 1)
        at = &(*at)->below[bits & 1];
    return at;
}

const chat_call *chat_call_at(const render_call *r, const tp_event *e)
{
    chat_choice *x = chat_choice_at(r, e->choice);
    if (!x || !x->last)
        return NULL;
    if (x->last->item == e->item)
        return x->last;
    chat_call *k = *place_of(x, e->item);
    if (k)
        x->last = k;
    return k;
}

const chat_call *chat_call_made(render_call *r, const tp_event *e)
{
    chat_choice *x = chat_choice_made(r, e->choice);
    if (!x)
        return NULL;
    chat_call **at = place_of(x, e->item), *k = *at;
    if (!k) {
        k = r->h->keep(r->c, sizeof(*k));
        if (!k) {
            r->st = r->h->fail(r->c, TP_E_NOMEM, SPAN_NONE,
                               SPAN("the reply holds more tool calls than can be kept track of"));
            return NULL;
        }
        *k = (chat_call){.item = e->item};
        *at = k;
    }
    k->index = x->call_count++; /* an item that comes twice is two calls; what follows is the second's */
    x->last = k;
    return k;
}
