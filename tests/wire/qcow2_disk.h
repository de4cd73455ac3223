/* SPDX-License-Identifier: Apache-2.0 */
/* A bulkhead-blk on a qcow2 image in a folder of its own, for wire tests. */
#ifndef TESTS_WIRE_QCOW2_DISK_H
#define TESTS_WIRE_QCOW2_DISK_H

#include "tests/wire/child.h"
#include "tests/wire/front_blk.h"

#define Q_SECTOR	512u
#define Q_DEPTH		8
#define Q_ROOM		(256u << 10)	/* bytes of data, per request */

extern char q_dir[64], q_out[4096], q_why[LIFE_TEXT_MAX];
/* Its record, with a header; a name in the folder, NULL: none. */
extern const char *q_record;
/*
 * What it is being moved to: a name in the folder, of a file that is there; NULL:
 * it is not.
 */
extern const char *q_target;
extern struct child q_child;
extern struct front q_front;
extern struct front_queue *q_queue;
extern struct front_blk q_blk[Q_DEPTH];

/* Fixtures.  The folder is on a disk: O_DIRECT works there. */
void q_set_up(void);
void q_tear_down(void);
/* Without qemu-img nothing can be tested: one SKIP line.  Return: is it so? */
bool q_skip(const char *name);

bool q_is_raw(const char *name);

/* Run a shell command in the folder; it must end with status 0. */
void q_shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int q_shell_status(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

/*
 * Names in the folder, the image first; a name that ends in ".raw" is raw, others
 * are qcow2.
 * Return: false, it was refused, and q_why says so.
 */
bool q_try(const char *const *names, unsigned int nr, bool read_only);
void q_start(const char *const *names, unsigned int nr, bool read_only);
/* In good order. */
void q_stop(void);
void q_kill(void);

uint8_t q_do(uint32_t type, uint64_t sector, uint32_t bytes);

#endif
