/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devproc/loop.h and devproc/device.h for fuzz targets: no epoll, no life
 * channel; a round happens when the target says so, and ends at once.
 */
#ifndef TESTS_FUZZ_FAKE_LOOP_H
#define TESTS_FUZZ_FAKE_LOOP_H

#include <stdbool.h>

/* Forget all sources and what went wrong. */
void fake_loop_reset(void);

/* Handle what is ready, then call the hook until it has no more to do. */
void fake_loop_round(void);

/* Has the device failed, or has its peer gone? */
bool fake_loop_is_over(void);

#endif
