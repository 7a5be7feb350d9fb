/* The form of a journal's records: journal.c writes them, replay.c reads them. */
#ifndef RETORT_STORE_JOURNAL_H
#define RETORT_STORE_JOURNAL_H

#include "internal.h"

#define RECORD_MAGIC UINT32_C(0x314a5452) /* "RTJ1" */
#define RECORD_HEADER 32 /* magic, type, length, CRC-32C; the rest zero */
#define RECORD_ALIGN 64  /* of an array's data */

enum record_type {
    REC_BEGIN = 1,
    REC_METRIC,
    REC_ARRAY,
    REC_TEXT,
    REC_REFERENCE,
    REC_RESUME,
    REC_CHECKPOINT,
    REC_END,
    REC_PART,
};

#endif
