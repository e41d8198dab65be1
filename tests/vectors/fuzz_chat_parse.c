/* Any body into chat's parse: no crash, and every refusal names what is wrong (the host asserts). */
#include <stdlib.h>
#include "exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static vec_plugin chat, echo;
    if (!chat.self)
        TP_MUST(vec_open(&chat, FUZZ_PLUGINS "/chat.so", "{}") == 0 &&
                vec_open(&echo, FUZZ_PLUGINS "/echo.so", "{\"tool_call\":{}}") == 0);
    exchange x = {.endpoint = &chat, .provider = &echo,
                  .request = {(const char *)data, size}};
    exchange_ready(&x);
    /* What parse takes, echo answers and chat renders. */
    tp_status st = exchange_run(&x, NULL);
    TP_MUST(st == TP_OK || (st == TP_E_INPUT && x.parsed.fail_why.len));
    TP_MUST(st != TP_OK || x.terminal);
    exchange_free(&x);
    return 0;
}
