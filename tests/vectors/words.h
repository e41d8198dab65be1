/* Names of the numbers of plugin.h, for vectors and messages. */
#ifndef TP_TEST_VECTORS_WORDS_H
#define TP_TEST_VECTORS_WORDS_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <turnpike/plugin.h>

typedef struct word {
    const char *name;
    int64_t value;
} word;
static const word words_kind[] = {
    {"start", TP_EV_START}, {"text", TP_EV_TEXT}, {"reasoning", TP_EV_REASONING},
    {"refusal", TP_EV_REFUSAL}, {"call", TP_EV_CALL}, {"arguments", TP_EV_ARGUMENTS},
    {"signature", TP_EV_SIGNATURE}, {"media", TP_EV_MEDIA}, {"annotation", TP_EV_ANNOTATION},
    {"logprobs", TP_EV_LOGPROBS}, {"row", TP_EV_ROW}, {"field", TP_EV_FIELD},
    {"item", TP_EV_ITEM}, {"bytes", TP_EV_BYTES}, {"frame", TP_EV_FRAME},
    {"usage", TP_EV_USAGE}, {"finish", TP_EV_FINISH}, {"error", TP_EV_ERROR},
    {"end", TP_EV_END}, {NULL, 0}};
static const word words_finish[] = {
    {"stop", TP_FINISH_STOP}, {"length", TP_FINISH_LENGTH}, {"tools", TP_FINISH_TOOLS},
    {"filter", TP_FINISH_FILTER}, {"refusal", TP_FINISH_REFUSAL}, {"pause", TP_FINISH_PAUSE},
    {NULL, 0}};
static const word words_error[] = {
    {"invalid", TP_ERR_INVALID}, {"auth", TP_ERR_AUTH}, {"forbidden", TP_ERR_FORBIDDEN},
    {"not_found", TP_ERR_NOT_FOUND}, {"too_long", TP_ERR_TOO_LONG}, {"rate", TP_ERR_RATE},
    {"quota", TP_ERR_QUOTA}, {"overloaded", TP_ERR_OVERLOADED}, {"timeout", TP_ERR_TIMEOUT},
    {"filter", TP_ERR_FILTER}, {"upstream", TP_ERR_UPSTREAM}, {NULL, 0}};
static const word words_need[] = {
    {"tools", TP_NEED_TOOLS}, {"vision", TP_NEED_VISION}, {"audio", TP_NEED_AUDIO},
    {"documents", TP_NEED_DOCUMENTS}, {"schema", TP_NEED_SCHEMA},
    {"reasoning", TP_NEED_REASONING}, {NULL, 0}};
static const word words_status[] = {
    {"ok", TP_OK}, {"input", TP_E_INPUT}, {"upstream", TP_E_UPSTREAM},
    {"unsupported", TP_E_UNSUPPORTED}, {"nomem", TP_E_NOMEM}, {"internal", TP_E_INTERNAL},
    {NULL, 0}};
static const word words_report[] = {
    {"dropped", TP_DROPPED}, {"changed", TP_CHANGED}, {"repaired", TP_REPAIRED}, {NULL, 0}};

/* -1000: no such word */
static inline int64_t word_value(const word *w, const char *name)
{
    for (; name && w->name; w++)
        if (strcmp(w->name, name) == 0)
            return w->value;
    return -1000;
}
static inline const char *word_name(const word *w, int64_t value)
{
    for (; w->name; w++)
        if (w->value == value)
            return w->name;
    return "?";
}
#endif
