/*
 * Time that only goes forward, for measuring; it decides no result.
 */
#ifndef RETORT_CLOCK_H
#define RETORT_CLOCK_H

/* Seconds since some moment before the program began. */
double clock_seconds(void);

#endif
