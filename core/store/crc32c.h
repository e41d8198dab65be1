/* CRC-32C (Castagnoli), as RFC 3720 has it: reflected, from ~0, complemented. [any] */
#ifndef TP_STORE_CRC32C_H
#define TP_STORE_CRC32C_H
#include "base/base.h"

/* Of n bytes at p, going on from `crc`: 0 at the start, else the CRC of what came before (or any
 * number, which then keys it). By the CPU's own instruction where it has one. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n) TP_PURE;
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n) TP_PURE; /* the same by a table */
#endif
