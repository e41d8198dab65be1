/* Who offers what, and which data set is trusted for it. Both agree on nearly all prices of the
 * first parties; where they do not, the one that follows the provider's own price list counts
 * (LiteLLM alone has what Bedrock adds for answers from one region).
 * The order decides between offers at one price: the vendor itself first, then those who serve open
 * weights, then the clouds, then who passes requests on. */
#include "catalog/import_int.h"

#define FIRST CATALOG_FIRST_PARTY
#define BOTH (CATALOG_LITELLM | CATALOG_MODELS_DEV)
#define DEV CATALOG_MODELS_DEV
#define LITE CATALOG_LITELLM

const catalog_source catalog_sources[] = {
    {"openai", "openai", "openai", "", LITE, BOTH, FIRST, "openai"},
    {"anthropic", "anthropic", "anthropic", "", LITE, BOTH, FIRST, "anthropic"},
    {"google", "google", "gemini", "gemini/", LITE, BOTH, FIRST, "google"},
    {"mistral", "mistral", "mistral", "mistral/", DEV, DEV, FIRST, "mistralai"},
    {"cohere", "cohere", "cohere", "", DEV, DEV, FIRST, "cohere"},
    {"xai", "xai", "xai", "xai/", DEV, DEV, FIRST, "xai"},
    {"deepseek", "deepseek", "deepseek", "deepseek/", DEV, DEV, FIRST, "deepseek"},
    {"perplexity", "perplexity", "perplexity", "perplexity/", DEV, DEV, FIRST, "perplexity"},
    {"inception", "inception", "inception", "inception/", DEV, DEV, FIRST, "inception"},
    {"groq", "groq", "groq", "groq/", DEV, DEV, CATALOG_BARE, NULL},
    {"cerebras", "cerebras", "cerebras", "cerebras/", DEV, DEV, CATALOG_BARE, NULL},
    {"sambanova", NULL, "sambanova", "sambanova/", LITE, LITE, CATALOG_BARE, NULL},
    {"together", "togetherai", "together_ai", "together_ai/", DEV, DEV, CATALOG_TURBO, NULL},
    {"fireworks", "fireworks-ai", "fireworks_ai", "fireworks_ai/", DEV, DEV,
     CATALOG_FIREWORKS | CATALOG_BARE, NULL},
    {"deepinfra", "deepinfra", "deepinfra", "deepinfra/", DEV, DEV, CATALOG_TURBO, NULL},
    {"scaleway", "scaleway", "scaleway", "scaleway/", DEV, DEV, CATALOG_BARE, NULL},
    {"nscale", NULL, "nscale", "nscale/", LITE, LITE, 0, NULL},
    {"tinfoil", "tinfoil", NULL, "", DEV, DEV, CATALOG_BARE, NULL},
    {"novita", "novita-ai", "novita", "novita/", DEV, DEV, 0, NULL},
    {"vertex", "google-vertex", "vertex_ai", "vertex_ai/", DEV, DEV, CATALOG_VERTEX, NULL},
    {"bedrock", "amazon-bedrock", "bedrock", "", LITE, DEV, CATALOG_BEDROCK, NULL},
    {"openrouter", "openrouter", "openrouter", "openrouter/", DEV, DEV, 0, NULL},
};
const uint32_t catalog_source_count = TP_COUNT(catalog_sources);

const char *const catalog_units[CATALOG_UNITS] = {"prompt",           "completion", "cache_read",
                                                  "cache_write",      "cache_write:1h",
                                                  "reasoning",        "audio_prompt",
                                                  "audio_completion", "request"};

const char *const *catalog_import_providers(void)
{
    static const char *const names[TP_COUNT(catalog_sources) + 1] = {
        "openai",   "anthropic",  "google",    "mistral",   "cohere",   "xai",
        "deepseek", "perplexity", "inception", "groq",      "cerebras", "sambanova",
        "together", "fireworks",  "deepinfra", "scaleway",  "nscale",   "tinfoil",
        "novita",   "vertex",     "bedrock",   "openrouter"};
    return names;
}
