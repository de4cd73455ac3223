/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user back-end that is no process and no thread: it stands in for
 * ipc/fdmsg.h under the front-end, answers each request on the spot, and goes
 * wrong where the input says so.  Time passes only when it does not answer.
 */
#ifndef TESTS_FUZZ_INLINE_BACKEND_H
#define TESTS_FUZZ_INLINE_BACKEND_H

#include "tests/fuzz/fuzz.h"

/* From now on answers come from in; NULL: all of them are right. */
void inline_backend_use(struct fuzz_input *in);

/* An fd for a link that stays open, or for one that has hung up. */
int inline_backend_link(int hung_up);

#endif
