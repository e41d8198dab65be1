/* Private to observe/. */
#ifndef TP_OBSERVE_ACCESS_INT_H
#define TP_OBSERVE_ACCESS_INT_H
#include "observe/access.h"

#define ACCESS_DROPPED_LINE 128u
/* The line that says how many lines are missing before it. */
size_t access_dropped_line(char out[ACCESS_DROPPED_LINE], int64_t unix_ms, uint64_t lines);
#endif
