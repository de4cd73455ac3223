/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A qcow2 disk without a device around it: file_io.h on plain files, its
 * operations done in an order that a seed chooses, and what a power cut would
 * leave of them.
 */
#ifndef TESTS_UNIT_QCOW2_RIG_H
#define TESTS_UNIT_QCOW2_RIG_H

#include "devproc/blk/blk.h"
#include "devproc/blk/qcow2_priv.h"

#define RIG_PATH_MAX	128

/* One request; owned by the caller until it is done. */
struct rig_request {
	struct blk_request req;
	uint8_t *data;		/* of READ and WRITE, all of it */
	uint8_t *at;		/* what is left */
	bool done;
	int err;		/* positive errno; 0: well */
};

/*
 * Open files[] (the image first, then what is behind it) as the layers.  A name
 * that ends in ".raw" is a raw layer.  Return: 0, or -errno with why.
 */
int rig_open(const char *const *files, unsigned int nr, bool writable,
	     char why[QCOW2_WHY_MAX + 64]);
/* In good order. */
int rig_close(void);
/* As if the process had been killed: what was begun may or may not be done. */
void rig_kill(void);

void rig_seed(uint64_t seed);
uint64_t rig_random(uint64_t below);

void rig_begin(struct rig_request *request, enum blk_op op, uint64_t offset,
	       uint64_t bytes, uint8_t *data);
/* Do one of the operations that were begun.  Return: false, there is none. */
bool rig_step(void);
/* Begin, and step until it is done.  Return: positive errno or 0. */
int rig_do(enum blk_op op, uint64_t offset, uint64_t bytes, uint8_t *data);

/* The next operation with this number from now on fails with err. */
void rig_fail_after(unsigned int nr, int err);
/* Nothing can be zeroed or punched: file systems like that exist. */
void rig_no_fallocate(bool yes);

/* --- power cuts ---------------------------------------------------------------- */

/* From now on, changes of the image are remembered. */
void rig_log_begin(const char *image);
size_t rig_log_length(void);
/* Remember no more; what was is still there. */
void rig_log_stop(void);
/*
 * Make at path what a cut after the first `length` changes may have left: all
 * that was synced by then, and of the rest what the seed says, torn if it likes.
 */
void rig_log_cut(const char *path, size_t length, uint64_t seed);
void rig_log_end(void);

/* --- programs -------------------------------------------------------------------- */

/* Run a shell command; its output goes to buf.  Return: exit status. */
int rig_shell(char *buf, size_t len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
