/* Numbers as little-endian bytes at any address: what lies in files. */
#ifndef TP_BASE_LE_H
#define TP_BASE_LE_H
#include "base/base.h"
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LE_16(v) (v)
#define LE_32(v) (v)
#define LE_64(v) (v)
#else
#define LE_16(v) __builtin_bswap16(v)
#define LE_32(v) __builtin_bswap32(v)
#define LE_64(v) __builtin_bswap64(v)
#endif

static inline void le_put16(unsigned char *p, uint16_t v)
{
    v = LE_16(v);
    memcpy(p, &v, sizeof(v));
}
static inline void le_put32(unsigned char *p, uint32_t v)
{
    v = LE_32(v);
    memcpy(p, &v, sizeof(v));
}
static inline void le_put64(unsigned char *p, uint64_t v)
{
    v = LE_64(v);
    memcpy(p, &v, sizeof(v));
}
static inline uint16_t le_get16(const unsigned char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return LE_16(v);
}
static inline uint32_t le_get32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return LE_32(v);
}
static inline uint64_t le_get64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return LE_64(v);
}
#endif
