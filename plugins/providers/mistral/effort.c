/* How much a model is to think. Mistral's models take reasoning_effort where they can think at all;
 * most know "none" and "high" alone, and refuse any other word. */
#include "../../common/effort.h"
#include "mistral_int.h"

/* Families that cannot think, and refuse the parameter. */
static int never_thinks(tp_str model)
{
    static const tp_str families[] = {
        SPAN_INIT("codestral"),    SPAN_INIT("ministral"),       SPAN_INIT("pixtral"),
        SPAN_INIT("devstral"),     SPAN_INIT("voxtral"),         SPAN_INIT("open-"),
        SPAN_INIT("mistral-tiny"), SPAN_INIT("mistral-large-2"), SPAN_INIT("mistral-saba")};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (span_istarts(model, families[i]))
            return 1;
    return 0;
}

static word_list known_by_name(tp_str model)
{
    word_list l = {.words = {SPAN("none"), SPAN("high")}, .count = 2, .said = 1};
    if (never_thinks(model))
        l.count = 0;
    else if (span_istarts(model, SPAN("mistral-large-4")) || span_istarts(model, SPAN("zai-")))
        l.said = 0; /* takes every word */
    return l;
}

static const char *place_of(const mistral_body *b)
{
    static const char *const names[] = {"thinking", "reasoning_effort", "reasoning"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint32_t t = b->r.h->find(b->r.d, 0, (tp_str){names[i], strlen(names[i])});
        if (span_given(b->r.d, t))
            return names[i];
    }
    return "reasoning_effort";
}

void mistral_choose_effort(mistral_body *b)
{
    const chat_thinking *k = &b->thinking;
    word_list list = b->in->efforts;
    uint32_t own = b->extra ? b->r.h->find(b->extra, 0, SPAN("reasoning_efforts")) : 0;
    if (k->hidden)
        chat_note(&b->r, TP_DROPPED, SPAN("Mistral shows a thought where there is one"), "%s",
                  span_find(b->r.h, b->r.d, 0, SPAN("include_reasoning")) ? "include_reasoning"
                                                                          : "reasoning.exclude");
    if (k->wanted < 0)
        return;
    if (span_kind(b->extra, own) == TP_ARRAY) {
        list = (word_list){0};
        mistral_read_words(b->extra, own, &list);
    }
    if (!list.said)
        list = known_by_name(b->r.target->model);
    tp_str wish = !k->wanted                                     ? SPAN("none")
                  : k->effort.len && !span_is(k->effort, "none") ? k->effort
                                                                 : SPAN("high");
    if (!list.said || mistral_has_word(&list, wish))
        b->effort = wish;
    else
        b->effort = effort_nearest(list.words, list.count, wish);
    if (!b->effort.len && k->wanted)
        chat_note(&b->r, TP_DROPPED, SPAN("this model does not think"), "%s", place_of(b));
    else if (b->effort.len && !span_eq(b->effort, wish))
        chat_note(&b->r, TP_CHANGED, SPAN("the nearest effort that this model knows was taken"),
                  "%s", place_of(b));
    else if (b->effort.len && k->budget >= 0 && k->wanted)
        chat_note(&b->r, TP_CHANGED, SPAN("Mistral takes an effort, and no count of tokens"), "%s",
                  place_of(b));
}
