/* What Mistral says when it refuses. Its numbers tell more than its statuses. */
#include "../../common/fault.h"
#include "mistral_int.h"

tp_status mistral_failed(const tp_host *h, tp_call *c, const tp_reply *reply)
{
    fault f;
    char text[64];
    fault_of_reply(h, c, reply, &f, text);
    int32_t code = fault_code(&f, reply->status);
    if (span_is(f.type, "invalid_model") || span_is(f.code, "1500"))
        code = TP_ERR_NOT_FOUND;
    else if (fault_contains(f.type, SPAN("capacity_exceeded")) || span_is(f.code, "3505"))
        code = TP_ERR_OVERLOADED; /* 429, but of the model, and not of this account */
    return fault_emit(h, c, &f, code);
}
