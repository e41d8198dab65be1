/* Words for how much a model is to think, in their order. [any] */
#ifndef TURNPIKE_PLUGINS_EFFORT_H
#define TURNPIKE_PLUGINS_EFFORT_H
#include "span.h"

/* 0: not at all. -1: the word is not known. */
static inline int effort_rank(tp_str word)
{
    static const struct {
        tp_str word;
        int rank;
    } ranks[] = {{SPAN_INIT("none"), 0},  {SPAN_INIT("instant"), 0}, {SPAN_INIT("minimal"), 1},
                 {SPAN_INIT("low"), 2},   {SPAN_INIT("medium"), 3},  {SPAN_INIT("high"), 4},
                 {SPAN_INIT("xhigh"), 5}, {SPAN_INIT("max"), 6}};
    for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++)
        if (span_eq(ranks[i].word, word))
            return ranks[i].rank;
    return -1;
}

/* Of the words that a model takes the one nearest to the wish, of two the higher; never a word for
 * nothing where something is wished, nor the other way round. A word that is not known stands for
 * high. Empty: there is none. */
static inline tp_str effort_nearest(const tp_str *words, uint32_t count, tp_str wish)
{
    int wanted = effort_rank(wish), best = 100;
    tp_str found = SPAN_NONE;
    if (wanted < 0)
        wanted = 4;
    for (uint32_t i = 0; i < count; i++) {
        int rank = effort_rank(words[i]), far = rank > wanted ? rank - wanted : wanted - rank;
        if (rank < 0 || (rank == 0) != (wanted == 0))
            continue;
        if (far < best || (far == best && rank > wanted)) {
            best = far;
            found = words[i];
        }
    }
    return found;
}
#endif
