/* A library whose exported functions reach every type of the SDK, so that libabigail can compare
 * the types of today's header with the baseline of a released one. It is never run. */
#include <turnpike/plugin.h>

#define WITNESS(T)                                \
    TP_EXPORT uint32_t witness_##T(const T *p);   \
    uint32_t witness_##T(const T *p)              \
    {                                             \
        return p ? (uint32_t)sizeof(*p) : 0;      \
    }
WITNESS(tp_str)
WITNESS(tp_list)
WITNESS(tp_header)
WITNESS(tp_call)
WITNESS(tp_token)
WITNESS(tp_doc)
WITNESS(tp_part)
WITNESS(tp_request)
WITNESS(tp_operation)
WITNESS(tp_event)
WITNESS(tp_local)
WITNESS(tp_host)
WITNESS(tp_target)
WITNESS(tp_reply)
WITNESS(tp_frame)
WITNESS(tp_provider)
WITNESS(tp_endpoint)
WITNESS(tp_candidate)
WITNESS(tp_rank)
WITNESS(tp_strategy)
WITNESS(tp_plugin)

const tp_plugin *tp_plugin_entry_v1(const tp_host *host)
{
    (void)host;
    return NULL;
}
