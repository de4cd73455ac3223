/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What faults do to a disk's requests (bulkhead(1), FAULTS); a step of a
 * request between what is asked for and what is done (steps.c).
 * A request that no rule fired for has no blk_request.faults, and comes here
 * no more than to be asked for that.
 */
#ifndef DEVPROC_BLK_FAULTS_H
#define DEVPROC_BLK_FAULTS_H

#include "devproc/blk/blk.h"

/*
 * Hold a parsed request against the rules.  Sets req->faults if any fired.
 * Return: true, it waits here for its time (DELAY, HOLD); faults_next_due()
 * gives it back.
 */
bool faults_take(struct blk_request *req);

/*
 * Its turn has come: change what it asks for.
 * Return: -1, there is I/O to do; else the status that it ends with, now.
 */
int faults_begin(struct blk_request *req, const struct blk_image *image);

/* faults_begin() failed it: what would the host have said?  Positive errno. */
int faults_errno(const struct blk_request *req);

/*
 * It was held, and goes on: if a rule is to fail it, hold it against the rules
 * for that once more, as the host would do.
 */
void faults_take_again(struct blk_request *req);

/* A write's data must be copied, as it is to be changed. */
bool faults_want_copy(const struct blk_request *req);
/* buf: the copy of the first len bytes still to be written. */
void faults_change_copy(const struct blk_request *req, uint8_t *buf,
			size_t len);
/* The first bytes still to be read have come to req->data. */
void faults_change_data(const struct blk_request *req, size_t bytes);

/* The ring has the request: it will crash the process at faults_submitted(). */
void faults_issued(const struct blk_request *req);
void faults_submitted(void);

/* I/O ended with status; right before vring_push().  Return: what to say. */
uint8_t faults_end(struct blk_request *req, uint8_t status);

/*
 * End of a round: a request whose time has come, NULL if there is none; then
 * the loop has been told when to come back.
 */
struct blk_request *faults_next_due(void);

/* The queue stops: its requests wait no longer. */
void faults_release(unsigned int queue);

#endif
