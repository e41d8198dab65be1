/* Shared by the files that handle secrets; nobody else's. */
#ifndef TP_ADMIT_SECRET_INT_H
#define TP_ADMIT_SECRET_INT_H
#include "admit/secret.h"

void secret_random(void *out, size_t n); /* the system's; waits for its seeding at boot */
/* 64 hex digits into 32 bytes: 1, or 0. */
int secret_from_hex(tp_str text, unsigned char out[32]);
#endif
